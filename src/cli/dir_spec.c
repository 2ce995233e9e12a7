#include "cli/dir_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

struct pieces {
	struct text_view name;
	struct text_view path;
	struct text_view tag;
	bool has_name;
	bool has_tag;
	bool read_only;
};

static bool has_slash(struct text_view view)
{
	return memchr(view.start, '/', view.length) != NULL;
}

/* False at a piece that is no option, which *ret_bad is then. "" is no options. */
static bool parse_options(struct text_view text, struct pieces *pieces, struct text_view *ret_bad)
{
	struct pieces found = *pieces;
	bool more = text.length > 0;

	while (more) {
		struct text_view piece, key;
		more = text_view_cut(text, ',', &piece, &text);
		if (text_view_equal(piece, "ro")) {
			found.read_only = true;
		} else if (text_view_cut(piece, '=', &key, &found.tag) &&
			   text_view_equal(key, "tag")) {
			found.has_tag = true;
		} else {
			*ret_bad = piece;
			return false;
		}
	}
	*pieces = found;
	return true;
}

static bool split(const char *text, struct pieces *ret_pieces, struct error *err)
{
	struct pieces pieces = { .path = text_view_of(text) };
	struct text_view head, rest, bad;
	const char *last = strrchr(text, ':');

	if (last && !strchr(last, '/')) {
		struct text_view options = text_view_of(last + 1);
		struct text_view before = { text, (size_t)(last - text) };
		/* "name:folder" has one colon and neither slash nor options. */
		bool may_be_name = !has_slash(before) && !memchr(text, ':', before.length) &&
				   before.length > 0;
		if (parse_options(options, &pieces, &bad)) {
			pieces.path = before;
		} else if (!may_be_name) {
			error_set(
				err,
				"invalid directory \"%s\": unknown option \"%.*s\": expected ro or "
				"tag=TAG (a path that ends so gets one more colon)",
				text, (int)bad.length, bad.start);
			return false;
		}
	}
	if (text_view_cut(pieces.path, ':', &head, &rest) && !has_slash(head)) {
		pieces.has_name = true;
		pieces.name = head;
		pieces.path = rest;
	}
	*ret_pieces = pieces;
	return true;
}

/* What QEMU, the guest's kernel and a shell in quotes take. */
static bool take_tag(struct text_view view, char tag[SHARE_TAG_SIZE])
{
	if (view.length == 0 || !text_view_copy(view, tag, SHARE_TAG_SIZE))
		return false;
	for (const char *c = tag; *c; c++) {
		if (*c < ' ' || *c > '~' || *c == '\'')
			return false;
	}
	return true;
}

static bool choose_tag(const char *text, const struct pieces *pieces, struct dir_spec *spec,
		       struct error *err)
{
	struct text_view tag = pieces->has_tag	  ? pieces->tag
			       : pieces->has_name ? pieces->name
						  : text_view_of(DIR_SPEC_TAG);

	if (take_tag(tag, spec->tag))
		return true;
	error_set(err,
		  "invalid directory \"%s\": its %s has to be 1 to %d printable ASCII characters, "
		  "without an apostrophe",
		  text, pieces->has_tag ? "tag" : "name", SHARE_TAG_SIZE - 1);
	return false;
}

static char *expand(struct text_view path, const char *home)
{
	char *made;
	bool is_home = path.start[0] == '~' && (path.length == 1 || path.start[1] == '/');

	if (!is_home || !home)
		return strndup(path.start, path.length);
	return asprintf(&made, "%s%.*s", home, (int)path.length - 1, path.start + 1) < 0 ? NULL
											 : made;
}

bool dir_spec_parse(const char *text, const char *home, struct dir_spec *ret_spec,
		    struct error *err)
{
	struct dir_spec spec = { 0 };
	struct pieces pieces;

	if (!split(text, &pieces, err) || !choose_tag(text, &pieces, &spec, err))
		return false;
	if (pieces.path.length == 0) {
		error_set(err, "invalid directory \"%s\": its path is missing", text);
		return false;
	}
	spec.read_only = pieces.read_only;
	spec.path = expand(pieces.path, home);
	if (!spec.path) {
		error_set(err, "out of memory");
		return false;
	}
	*ret_spec = spec;
	return true;
}

void dir_spec_done(struct dir_spec *spec)
{
	free(spec->path);
	spec->path = NULL;
}
