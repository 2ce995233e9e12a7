/* The virtio-net header: marks that are taken are written so that they are read the same. */

#include "fuzz.h"

#include "wire/virtio_net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader reader = reader_of(data, size);
	uint8_t bytes[VIRTIO_NET_HEADER_SIZE];
	struct frame_offload again;
	struct frame frame = {};

	if (!virtio_net_parse(&reader, &frame.offload))
		return 0;
	FUZZ_CHECK(size >= VIRTIO_NET_HEADER_SIZE && reader.position == VIRTIO_NET_HEADER_SIZE);
	FUZZ_CHECK((frame.offload.gso == FRAME_GSO_NONE) == (frame.offload.gso_size == 0));
	FUZZ_CHECK(!frame.offload.checksum_valid); /* a guest's word */
	struct writer writer = writer_of(bytes, sizeof(bytes));
	virtio_net_build(&writer, &frame, 1);
	FUZZ_CHECK(writer.position == sizeof(bytes));
	reader = reader_of(bytes, sizeof(bytes));
	FUZZ_CHECK(virtio_net_parse(&reader, &again));
	FUZZ_CHECK(again.gso == frame.offload.gso && again.gso_ecn == frame.offload.gso_ecn &&
		   again.gso_size == frame.offload.gso_size);
	FUZZ_CHECK(again.checksum_partial == frame.offload.checksum_partial &&
		   again.checksum_start == frame.offload.checksum_start &&
		   again.checksum_offset == frame.offload.checksum_offset);
	return 0;
}
