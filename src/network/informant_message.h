#pragma once
/*
 * What an engine and its informant say to each other, on a stream: a question of fixed size, then its answer, a
 * header and a body. Numbers are big-endian. The engine may be in a guest's hands: whatever is no question is
 * refused by the parser.
 *
 *     question   0 sequence   4 kind  6 zero   8 operands, then zeroes                  32 bytes
 *     answer     0 sequence   4 kind  6 errno  8 size of the body  12 zero              16 bytes
 *
 *     kind    asks                                 operands                         body
 *     HELLO   is that my version? I am ...         version, zero, holding, owner    -
 *     LOOK    has the file changed?                file                             its identity
 *     READ    what does it say?                    file                             its text
 *     HELD    does another network have that?      IPv4 address                     range, for how long
 *
 * Where errno is not 0 there is no body.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "host/file_source.h"
#include "registry/held_snapshot.h"
#include "wire/reader.h"
#include "wire/writer.h"

#define INFORMANT_VERSION	1
#define INFORMANT_QUESTION_SIZE 32
#define INFORMANT_HEADER_SIZE	16
#define INFORMANT_IDENTITY_SIZE 56
#define INFORMANT_HELD_SIZE	24

enum informant_kind {
	INFORMANT_HELLO = 1,
	INFORMANT_LOOK,
	INFORMANT_READ,
	INFORMANT_HELD,
};

enum informant_file {
	INFORMANT_RESOLV_CONF,
	INFORMANT_HOSTS,
	INFORMANT_FILES, /* how many */
};

struct informant_question {
	uint32_t sequence;
	enum informant_kind kind;
	uint32_t version; /* HELLO */
	int64_t holding;  /* HELLO: the row that is the asker's own, */
	int64_t owner;	  /* and whose it is */
	enum informant_file file;
	struct ip_addr addr; /* HELD */
};

struct informant_header {
	uint32_t sequence;
	enum informant_kind kind;
	int status; /* 0 or negative errno */
	size_t size;
};

/* The most that is read of a file. */
size_t informant_file_most(enum informant_file file);

/* Of INFORMANT_QUESTION_SIZE bytes. */
void informant_build_question(struct writer *writer, const struct informant_question *question);
bool informant_parse_question(const uint8_t *bytes,
			      struct informant_question *ret_question) MUST_USE;

/* Of INFORMANT_HEADER_SIZE bytes. False also where the size cannot be that of such an answer. */
void informant_build_header(struct writer *writer, const struct informant_header *header);
bool informant_parse_header(const uint8_t *bytes, struct informant_header *ret_header) MUST_USE;

/* Bodies, of the sizes above. */
void informant_build_identity(struct writer *writer, const struct file_identity *identity);
bool informant_parse_identity(const uint8_t *bytes, struct file_identity *ret_identity) MUST_USE;
void informant_build_held(struct writer *writer, const struct held_answer *answer);
/* False also where the range is empty, or believed for longer than HELD_SNAPSHOT_MOST_NS. */
bool informant_parse_held(const uint8_t *bytes, struct held_answer *ret_answer) MUST_USE;
