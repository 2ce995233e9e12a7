#pragma once
/* Intrusive doubly linked list. A node that is in no list points to itself. */

#include <stdbool.h>

#include "base/compiler.h"

struct list {
	struct list *previous;
	struct list *next;
};

static inline void list_init(struct list *node)
{
	node->previous = node;
	node->next = node;
}

static inline bool list_is_empty(const struct list *head)
{
	return head->next == head;
}

/* True while the node is in a list. The node must have been initialised. */
static inline bool list_is_linked(const struct list *node)
{
	return node->next != node;
}

static inline void list_insert_before(struct list *position, struct list *node)
{
	node->previous = position->previous;
	node->next = position;
	position->previous->next = node;
	position->previous = node;
}

static inline void list_append(struct list *head, struct list *node)
{
	list_insert_before(head, node);
}

static inline void list_prepend(struct list *head, struct list *node)
{
	list_insert_before(head->next, node);
}

/* Takes the node out, if it is in a list, and makes it point to itself again. */
static inline void list_remove(struct list *node)
{
	node->previous->next = node->next;
	node->next->previous = node->previous;
	list_init(node);
}

static inline struct list *list_first(const struct list *head)
{
	return list_is_empty(head) ? NULL : head->next;
}

/* The body may remove `node` itself, nothing else. */
/* NOLINTBEGIN(bugprone-macro-parentheses): node and following name what is declared. */
#define list_for_each_safe(node, following, head)                                                  \
	for (struct list *node = (head)->next, *following = node->next; node != (head);            \
	     node = following, following = node->next)
/* NOLINTEND(bugprone-macro-parentheses) */
