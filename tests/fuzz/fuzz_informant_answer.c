/* What an informant may say to an engine, of any bytes, behind its greeting: the engine asks as it does while it runs,
 * waits for nothing that cannot come, and believes only what was asked for. */

#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "network/informant_client.h"
#include "network/informant_message.h"

#define READ_MOST 4096

static void ask(struct informant_client *client)
{
	const struct host_files *files = informant_client_files(client);
	struct file_identity identity;
	char *text = NULL;
	size_t size = 0;

	if (files->resolv_conf->look(files->resolv_conf, &identity) == 0)
		FUZZ_CHECK(identity.modified.tv_nsec >= 0 &&
			   (uint64_t)identity.modified.tv_nsec < NS_PER_S);
	if (files->hosts->read(files->hosts, READ_MOST, &text, &size) == 0)
		FUZZ_CHECK(text && size <= READ_MOST);
	free(text);
	for (uint32_t i = 0; i < 4; i++) {
		struct ip_addr addr = ip_addr_from_v4(0x0a000000 + (i << 8));

		(void)informant_client_is_held(client, &addr, NS_PER_S);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct informant_header hello = { .sequence = 1, .kind = INFORMANT_HELLO };
	struct informant_client *client = NULL;
	uint8_t greeting[INFORMANT_HEADER_SIZE];
	struct writer writer = writer_of(greeting, sizeof(greeting));
	int fds[2];

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	informant_build_header(&writer, &hello);
	FUZZ_CHECK(send(fds[1], greeting, sizeof(greeting), MSG_NOSIGNAL) == sizeof(greeting));
	if (size > 0)
		(void)!send(fds[1], data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	FUZZ_CHECK(shutdown(fds[1], SHUT_WR) == 0);
	FUZZ_CHECK(informant_client_new(fds[0], 1, 2, NULL, &client, NULL) == 0);
	ask(client);
	ask(client);
	/* Each answer is good for one question; when there is none left, everything is closed. */
	const struct ip_addr addr = ip_addr_from_v4(0x0a000000);
	bool held = false;
	for (size_t i = 0; i < size / INFORMANT_HEADER_SIZE + 2; i++)
		held = informant_client_is_held(client, &addr, (10 + i) * NS_PER_S);
	FUZZ_CHECK(held);
	(void)informant_client_free(client);
	(void)close(fds[1]);
	return 0;
}
