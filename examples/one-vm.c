/*
 * One network for one VM with one forwarded port: `cc one-vm.c $(pkg-config --cflags --libs libvmnet)`,
 * run it, start QEMU with the line it prints. It ends when its input ends (Ctrl-D).
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/ether.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>
#include <vmnet/vmnet.h>

static int listen_on(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 1) < 0)
		err(1, "%s", path);
	return fd;
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "vm.sock";
	const char *mac = "02:00:00:00:00:01";
	struct vmnet_error error = { "" };
	struct vmnet_port_forward forward;
	struct ether_addr client;
	struct in_addr guest = { 0 }; /* the first free one */

	/* The guest gets the first free address, and its port 22 a free one of 127.0.0.1. */
	vmnet_network_configuration_ref config =
		vmnet_network_configuration_create(VMNET_SHARED_MODE, NULL);
	vmnet_network_configuration_add_dhcp_reservation(config, ether_aton_r(mac, &client),
							 &guest);
	vmnet_network_configuration_add_port_forwarding_rule(config, IPPROTO_TCP, AF_INET, 22, 0,
							     NULL);
	vmnet_network_ref network = vmnet_network_create(config, NULL);
	if (!network)
		errx(1, "%s", vmnet_network_configuration_get_error(config));
	vmnet_network_configuration_release(config);
	int fd = listen_on(path);
	if (vmnet_network_attach_stream_fd(network, fd, NULL, NULL, &error) != VMNET_SUCCESS)
		errx(1, "%s: %s", path, error.text);
	vmnet_network_get_reservation(network, &client, &guest);
	vmnet_network_get_port_forwards(network, &forward, 1);
	printf("guest %s, ssh -p %u root@127.0.0.1\n", inet_ntoa(guest), forward.external_port);
	printf("qemu-system-x86_64 -netdev stream,id=n,server=off,addr.type=unix,addr.path=%s "
	       "-device virtio-net-pci,netdev=n,mac=%s ...\n",
	       path, mac);
	fflush(stdout);
	while (getchar() != EOF)
		;
	unlink(path);
	vmnet_network_release(network);
	return 0;
}
