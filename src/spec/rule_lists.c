#include "spec/rule_lists.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "vmnet/vmnet.h"

static bool push(struct rule_list *list, struct text_view text)
{
	char **texts = reallocarray(list->texts, list->count + 1, sizeof(*texts));

	if (!texts)
		return false;
	list->texts = texts;
	list->texts[list->count] = strndup(text.start, text.length);
	if (!list->texts[list->count])
		return false;
	list->count++;
	return true;
}

/* A configuration that is thrown away judges them. */
static bool judge(const struct rule_list *list, size_t first, struct error *err)
{
	vmnet_return_t status;
	vmnet_network_configuration_ref config =
		vmnet_network_configuration_create(VMNET_SHARED_MODE, &status);

	for (size_t i = first; config && status == VMNET_SUCCESS && i < list->count; i++) {
		const char *text = list->texts[i];
		status = vmnet_network_configuration_set_policy(config, &text, 1, NULL, 0);
	}
	if (!config)
		error_set(err, "out of memory");
	else if (status != VMNET_SUCCESS)
		error_set(err, "%s", vmnet_network_configuration_get_error(config));
	vmnet_network_configuration_release(config);
	return config && status == VMNET_SUCCESS;
}

static void cut_back(struct rule_list *list, size_t count)
{
	while (list->count > count)
		free(list->texts[--list->count]);
}

bool rule_list_add(struct rule_list *list, const char *argument, struct error *err)
{
	const size_t before = list->count;
	struct text_view rest = text_view_of(argument);
	struct text_view head;
	bool more;

	do {
		more = text_view_cut(rest, ',', &head, &rest);
		if (!push(list, head)) {
			error_set(err, "out of memory");
			cut_back(list, before);
			return false;
		}
	} while (more);
	if (judge(list, before, err))
		return true;
	cut_back(list, before);
	return false;
}

void rule_list_done(struct rule_list *list)
{
	cut_back(list, 0);
	free(list->texts);
	*list = (struct rule_list){ 0 };
}
