/* Read back block by block (draft-ietf-opsawg-pcapng). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "capture/capture.h"
#include "wire/frame.h"
#include "wire/packet_build.h"

#define FROM_GUEST 1
#define TO_GUEST   2
#define PACKETS	   4096

struct packet_block {
	uint64_t stamp_ns;
	uint32_t size;
	uint32_t flags;
	const uint8_t *bytes;
};

struct file {
	uint8_t *bytes;
	size_t size;
	char name[65];
	size_t packets;
	struct packet_block packet[PACKETS];
};

static struct file file;

static uint32_t u32(size_t offset)
{
	uint32_t value;

	assert_true(offset + sizeof(value) <= file.size);
	memcpy(&value, file.bytes + offset, sizeof(value));
	return value;
}

static uint16_t u16(size_t offset)
{
	uint16_t value;

	assert_true(offset + sizeof(value) <= file.size);
	memcpy(&value, file.bytes + offset, sizeof(value));
	return value;
}

static size_t padded(size_t size)
{
	return (size + 3) / 4 * 4;
}

/* Options up to the end of the block; padding must be zero, the last must be the end. Returns the
 * place of the one asked for, 0 when it is not there. */
static size_t option(size_t offset, size_t end, uint16_t wanted, uint16_t *ret_size)
{
	size_t found = 0;

	for (;;) {
		uint16_t code = u16(offset);
		uint16_t size = u16(offset + 2);

		if (code == 0) {
			assert_int_equal(size, 0);
			assert_int_equal(offset + 4, end);
			return found;
		}
		if (code == wanted) {
			found = offset + 4;
			*ret_size = size;
		}
		for (size_t i = size; i < padded(size); i++)
			assert_int_equal(file.bytes[offset + 4 + i], 0);
		offset += 4 + padded(size);
		assert_true(offset + 4 <= end);
	}
}

static void parse_section(size_t start)
{
	assert_int_equal(start, 0);
	assert_int_equal(u32(start + 8), 0x1a2b3c4d);
	assert_int_equal(u16(start + 12), 1);
	assert_int_equal(u16(start + 14), 0);
	assert_int_equal(u32(start + 16), UINT32_MAX);
	assert_int_equal(u32(start + 20), UINT32_MAX);
}

static void parse_interface(size_t start, size_t end)
{
	uint16_t size = 0;

	assert_int_equal(u16(start + 8), 1); /* LINKTYPE_ETHERNET */
	assert_int_equal(u16(start + 10), 0);
	assert_int_equal(u32(start + 12), 0);
	size_t at = option(start + 16, end, 9, &size); /* if_tsresol */
	assert_true(at > 0);
	assert_int_equal(size, 1);
	assert_int_equal(file.bytes[at], 9);
	at = option(start + 16, end, 2, &size);
	assert_true(at > 0 && size < sizeof(file.name));
	memcpy(file.name, file.bytes + at, size);
	file.name[size] = '\0';
}

static void parse_packet(size_t start, size_t end)
{
	struct packet_block *packet = &file.packet[file.packets++];
	uint16_t size = 0;

	assert_true(file.packets <= PACKETS);
	assert_int_equal(u32(start + 8), 0);
	packet->stamp_ns = (uint64_t)u32(start + 12) << 32 | u32(start + 16);
	packet->size = u32(start + 20);
	assert_int_equal(u32(start + 24), packet->size);
	packet->bytes = file.bytes + start + 28;
	size_t options = start + 28 + padded(packet->size);
	assert_true(options <= end);
	for (size_t i = packet->size; i < padded(packet->size); i++)
		assert_int_equal(packet->bytes[i], 0);
	size_t at = option(options, end, 2, &size); /* epb_flags */
	assert_true(at > 0);
	assert_int_equal(size, 4);
	packet->flags = u32(at);
}

/* Every block whole, from the first byte to the last. */
static void parse(void)
{
	size_t start = 0;

	file.packets = 0;
	while (start < file.size) {
		uint32_t length = u32(start + 4);
		size_t end = start + length - 4;

		assert_true(length >= 12 && length % 4 == 0 && start + length <= file.size);
		assert_int_equal(u32(end), length);
		switch (u32(start)) {
		case 0x0a0d0d0a:
			parse_section(start);
			break;
		case 1:
			assert_int_equal(start, 28);
			parse_interface(start, end);
			break;
		case 6:
			parse_packet(start, end);
			break;
		default:
			fail_msg("block of type %#x", u32(start));
		}
		start += length;
	}
}

static void read_all(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	file.size = (size_t)status.st_size;
	free(file.bytes);
	file.bytes = malloc(file.size + 1);
	assert_int_equal(pread(fd, file.bytes, file.size, 0), (ssize_t)file.size);
	parse();
}

static int memory_file(void)
{
	int fd = memfd_create("capture", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct capture *start(int fd, const char *name)
{
	struct capture *capture;
	struct error err = {};

	assert_int_equal(capture_new(fd, name, &capture, &err), 0);
	return capture;
}

/* A frame whose bytes count up from its size. */
static void record(struct capture *capture, size_t size, uint32_t port)
{
	static uint8_t bytes[FRAME_MAX_SIZE];
	enum drop_reason reason;
	struct frame frame;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(size + i);
	bytes[12] = 0x90; /* an ethertype that nobody looks into */
	bytes[13] = 0;
	assert_true(frame_from_bytes(&frame, bytes, size, port, &reason));
	frame_sink_push(capture_sink(capture), &frame);
}

static void expect_packet(size_t index, size_t size, uint32_t flags)
{
	assert_true(index < file.packets);
	assert_int_equal(file.packet[index].size, size);
	assert_int_equal(file.packet[index].flags, flags);
	for (size_t i = 0; i < size; i++) {
		uint8_t wanted = i == 12 ? 0x90 : i == 13 ? 0 : (uint8_t)(size + i);

		assert_int_equal(file.packet[index].bytes[i], wanted);
	}
}

static void headers(void **state)
{
	static const char long_name[] =
		"a name of more than 64 characters, of which a reader is shown the first 64 alone";
	static const char *const names[] = { "", "v", "vm-1", long_name };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd = memory_file();

		capture_free(start(fd, names[i]));
		read_all(fd);
		assert_int_equal(file.packets, 0);
		assert_int_equal(strncmp(file.name, names[i], 64), 0);
		(void)fd_close(fd);
	}
}

static void sizes_and_directions(void **state)
{
	static const size_t sizes[] = { 14, 15, 16, 17, 60, 1514, FRAME_MAX_SIZE };
	int fd = memory_file();
	struct capture *capture = start(fd, "vm");
	struct timespec now;

	(void)state;
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	uint64_t begin_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		record(capture, sizes[i], 3);
		record(capture, sizes[i], FRAME_PORT_NONE);
	}
	frame_sink_flush(capture_sink(capture));
	assert_int_equal(frame_sink_room(capture_sink(capture), 3), SIZE_MAX);
	read_all(fd);
	assert_int_equal(file.packets, 2 * sizeof(sizes) / sizeof(sizes[0]));
	uint64_t before_ns = begin_ns;
	for (size_t i = 0; i < file.packets; i++) {
		expect_packet(i, sizes[i / 2], i % 2 == 0 ? FROM_GUEST : TO_GUEST);
		assert_true(file.packet[i].stamp_ns >= before_ns);
		before_ns = file.packet[i].stamp_ns;
	}
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	assert_true(before_ns <= (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
	assert_int_equal(capture_lost(capture), 0);
	capture_free(capture);
	(void)fd_close(fd);
}

/* Seen before the port's door: one packet, headers and payload from different memory. */
static void super_frame(void **state)
{
	static uint8_t bytes[60000];
	const struct packet_link link = {};
	const struct ip_endpoint from = { ip_addr_from_v4(0xcb007105), 80 };
	const struct ip_endpoint to = { ip_addr_from_v4(0x0a000002), 4000 };
	const struct tcp_header header = { .flags = TCP_ACK };
	struct iovec payload[2] = { { bytes, 1000 }, { bytes + 1000, sizeof(bytes) - 1000 } };
	int fd = memory_file();
	struct capture *capture = start(fd, "vm");
	struct frame frame;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 13);
	assert_true(packet_build_tcp(&frame, &link, &from, &to, &header, payload, 2, 1460));
	frame_sink_push(capture_sink(capture), &frame);
	capture_free(capture); /* writes what is left */
	read_all(fd);
	assert_int_equal(file.packets, 1);
	assert_int_equal(file.packet[0].size, 54 + sizeof(bytes));
	assert_memory_equal(file.packet[0].bytes + 54, bytes, sizeof(bytes));
	(void)fd_close(fd);
}

/* More than the buffer holds, without a flush. */
static void many_between_flushes(void **state)
{
	int fd = memory_file();
	struct capture *capture = start(fd, "vm");

	(void)state;
	for (size_t i = 0; i < 3000; i++)
		record(capture, 100 + i % 1400, 1);
	capture_free(capture);
	read_all(fd);
	assert_int_equal(file.packets, 3000);
	for (size_t i = 0; i < 3000; i++)
		expect_packet(i, 100 + i % 1400, FROM_GUEST);
	(void)fd_close(fd);
}

/* Takes what is in the pipe now. */
static void drain(int fd)
{
	ssize_t got;

	do {
		file.bytes = realloc(file.bytes, file.size + 65536);
		assert_non_null(file.bytes);
		got = read(fd, file.bytes + file.size, 65536);
		if (got > 0)
			file.size += (size_t)got;
	} while (got > 0);
}

/* Nobody reads: packets are left out whole, and counted; the file goes on when somebody does. */
static void full_pipe(void **state)
{
	int fds[2];
	size_t sent = 0;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fd_set_nonblocking(fds[0]), 0);
	struct capture *capture = start(fds[1], "vm");
	for (int i = 0; i < 1000; i++, sent++) {
		record(capture, 1000 + sent, 1);
		frame_sink_flush(capture_sink(capture));
	}
	uint64_t lost = capture_lost(capture);
	assert_in_range(lost, 1, sent - 1);
	file.size = 0;
	for (int i = 0; i < 100; i++) {
		drain(fds[0]);
		frame_sink_flush(capture_sink(capture));
	}
	parse();
	assert_int_equal(file.packets, sent - lost);
	/* The first ones, without a hole. */
	for (size_t i = 0; i < file.packets; i++)
		expect_packet(i, 1000 + i, FROM_GUEST);
	for (int i = 0; i < 100; i++, sent++) {
		record(capture, 1000 + sent, 1);
		frame_sink_flush(capture_sink(capture));
		drain(fds[0]);
	}
	capture_free(capture);
	drain(fds[0]);
	size_t before = file.packets;
	parse();
	assert_int_equal(file.packets, before + 100);
	for (size_t i = 0; i < 100; i++)
		expect_packet(before + i, 1000 + sent - 100 + i, FROM_GUEST);
	(void)fd_close(fds[0]);
	(void)fd_close(fds[1]);
}

/* The reader left: no signal, no more tries, every packet counted. */
static void reader_is_gone(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	struct capture *capture = start(fds[1], "vm");
	(void)fd_close(fds[0]);
	record(capture, 100, 1);
	frame_sink_flush(capture_sink(capture));
	for (int i = 0; i < 10; i++)
		record(capture, 100, 1);
	assert_int_equal(capture_lost(capture), 10);
	capture_free(capture);
	(void)fd_close(fds[1]);
}

/* The caller's descriptor stays the caller's. */
static void descriptor_is_a_duplicate(void **state)
{
	int fd = memory_file();
	struct capture *capture = start(fd, "vm");

	(void)state;
	(void)fd_close(fd);
	record(capture, 100, 1);
	frame_sink_flush(capture_sink(capture));
	assert_int_equal(capture_lost(capture), 0);
	capture_free(capture);
	assert_null(capture_free(NULL));
}

static void what_cannot_be_written(void **state)
{
	struct capture *capture = NULL;
	struct error err = {};
	int read_only = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(capture_new(-1, "vm", &capture, &err) < 0);
	assert_string_not_equal(err.text, "");
	err = (struct error){};
	assert_true(capture_new(read_only, "vm", &capture, &err) < 0);
	assert_string_not_equal(err.text, "");
	assert_null(capture);
	(void)fd_close(read_only);
}

static int group_teardown(void **state)
{
	(void)state;
	free(file.bytes);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers),
		cmocka_unit_test(sizes_and_directions),
		cmocka_unit_test(super_frame),
		cmocka_unit_test(many_between_flushes),
		cmocka_unit_test(full_pipe),
		cmocka_unit_test(reader_is_gone),
		cmocka_unit_test(descriptor_is_a_duplicate),
		cmocka_unit_test(what_cannot_be_written),
	};

	return cmocka_run_group_tests_name("capture", tests, NULL, group_teardown);
}
