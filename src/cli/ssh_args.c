#include "cli/ssh_args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"

#define OWN_MOST ((size_t)16) /* words of ours */

struct builder {
	struct ssh_args args;
	bool failed;
};

static void add(struct builder *builder, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(struct builder *builder, const char *format, ...)
{
	va_list arguments;
	char *text;

	if (builder->failed)
		return;
	va_start(arguments, format);
	builder->failed = vasprintf(&text, format, arguments) < 0;
	va_end(arguments);
	if (!builder->failed)
		builder->args.argv[builder->args.count++] = text;
}

/* `text` with `before` in front of each byte that is in `special`. The caller frees. */
static char *escape(const char *text, const char *special, const char *before)
{
	size_t length = strlen(before);
	char *escaped = malloc((length + 1) * strlen(text) + 1);
	char *to = escaped;

	if (!escaped)
		return NULL;
	for (; *text; text++) {
		if (strchr(special, *text))
			to = mempcpy(to, before, length);
		*to++ = *text;
	}
	*to = 0;
	return escaped;
}

/* One word of a shell command, of which ssh expands the %. The caller frees. */
static char *shell_word(const char *text)
{
	autofree char *percent = escape(text, "%", "%");
	/* ' cannot stand inside of '...': that ends, one stands escaped, and ' begins it anew. */
	autofree char *quoted = percent ? escape(percent, "'", "'\\'") : NULL;
	char *word = NULL;

	if (!quoted)
		return NULL;
	size_t size = strlen(quoted) + 4;
	word = malloc(size);
	if (!word)
		return NULL;
	snprintf(word, size, "'%s'", quoted);
	return word;
}

/* A value of ssh's configuration, of which it expands the %. The caller frees. */
static char *config_value(const char *text)
{
	autofree char *percent = escape(text, "%", "%");

	return percent ? escape(percent, "\"\\", "\\") : NULL;
}

/* What ssh takes as a host: not all that a VM may be called. */
static const char *host_name(const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789.-_";

	return strspn(name, plain) == strlen(name) ? name : "vm";
}

static void add_way(struct builder *builder, const struct ssh_wish *wish)
{
	autofree char *program = shell_word(wish->program);
	autofree char *name = shell_word(wish->name);
	autofree char *directory = config_value(wish->directory);

	if (!program || !name || !directory) {
		builder->failed = true;
		return;
	}
	add(builder, "-o");
	/* Not %h, which the user's configuration may replace. */
	add(builder, "ProxyCommand=%s nc -- %s %%p", program, name);
	add(builder, "-o");
	/* The file is the VM's own, and goes with it where it is renamed. */
	add(builder, "HostKeyAlias=vm");
	add(builder, "-o");
	add(builder, "UserKnownHostsFile=\"%s/known_hosts\"", directory);
	add(builder, "-o");
	add(builder, "GlobalKnownHostsFile=/dev/null");
	/* A VM's first key is as good as any; a changed one is not. */
	add(builder, "-o");
	add(builder, "StrictHostKeyChecking=accept-new");
}

int ssh_args_build(const struct ssh_wish *wish, struct ssh_args *ret_args, struct error *err)
{
	size_t words = OWN_MOST + wish->option_count;
	struct builder builder = { .failed = false };

	if (strstr(wish->directory, "${")) {
		error_set(err, "ssh would replace what stands in ${} in the path %s",
			  wish->directory);
		return -EINVAL;
	}
	for (size_t i = 0; wish->command[i]; i++)
		words++;
	builder.args.argv = calloc(words + 1, sizeof(*builder.args.argv));
	builder.failed = !builder.args.argv;
	add(&builder, "ssh");
	for (size_t i = 0; i < wish->option_count; i++)
		add(&builder, "%s", wish->options[i]);
	add_way(&builder, wish);
	if (wish->user) {
		add(&builder, "-l");
		add(&builder, "%s", wish->user);
	}
	add(&builder, "--");
	add(&builder, "%s", host_name(wish->name));
	for (size_t i = 0; wish->command[i]; i++)
		add(&builder, "%s", wish->command[i]);
	if (builder.failed) {
		ssh_args_done(&builder.args);
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	*ret_args = builder.args;
	return 0;
}

void ssh_args_done(struct ssh_args *args)
{
	for (size_t i = 0; i < args->count; i++)
		free(args->argv[i]);
	free(args->argv);
	*args = (struct ssh_args){ 0 };
}
