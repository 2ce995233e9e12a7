#pragma once
/* A table for the terminal: columns as wide as their widest cell, counted in characters. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TEXT_TABLE_COLUMNS 8
#define TEXT_SIZE_SIZE	   16
#define TEXT_AGE_SIZE	   32

/* cells: rows x columns, row after row, the first row being the head. */
void text_table_print(FILE *stream, const char *const *cells, size_t rows, size_t columns);

/* "512 B", "1.5 MB", "20 GB" (powers of 1000). Returns buffer. */
const char *text_format_size(uint64_t size, char buffer[TEXT_SIZE_SIZE]);
/* "just now", "5 minutes ago"; the future is "just now" too. Returns buffer. */
const char *text_format_age(int64_t seconds, char buffer[TEXT_AGE_SIZE]);
