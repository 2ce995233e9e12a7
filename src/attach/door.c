#include "attach/door.h"

#include "wire/frame_segment.h"

struct door {
	door_emit *emit;
	void *context;
};

/* IEEE 802.3 wants 60 bytes without FCS; some guests drop shorter frames. */
static const uint8_t door_padding[FRAME_MIN_SIZE];

static void door_emit_frame(void *context, const struct frame *frame)
{
	const struct door *door = context;
	struct iovec parts[2 + FRAME_PAYLOAD_MAX_PARTS];
	size_t count = 0;
	size_t size = frame_size(frame);

	/* iovec has no const; the sockets only read. */
	parts[count++] = (struct iovec){ (void *)(uintptr_t)frame->header, frame->header_size };
	for (size_t i = 0; i < frame->payload_count && i < FRAME_PAYLOAD_MAX_PARTS; i++)
		parts[count++] = frame->payload[i];
	if (size < FRAME_MIN_SIZE) {
		parts[count++] =
			(struct iovec){ (void *)(uintptr_t)door_padding, FRAME_MIN_SIZE - size };
		size = FRAME_MIN_SIZE;
	}
	door->emit(door->context, frame, parts, count, size);
}

bool door_takes(const struct door_caps *caps, const struct frame *frame)
{
	if (frame->offload.checksum_partial && !caps->checksum)
		return false;
	/* A super-frame whose sum was verified instead would need one without marks: rare. */
	bool whole = frame->offload.checksum_partial;
	switch (frame->offload.gso) {
	case FRAME_GSO_NONE:
		return true;
	case FRAME_GSO_TCP4:
		return whole && caps->tso4;
	case FRAME_GSO_TCP6:
		return whole && caps->tso6;
	case FRAME_GSO_UDP:
		return whole && caps->uso;
	}
	return false;
}

bool door_pass(struct frame *frame, const struct door_caps *caps, door_emit *emit, void *context)
{
	struct door door = { .emit = emit, .context = context };

	if (!door_takes(caps, frame))
		return frame_segment(frame, door_emit_frame, &door) > 0;
	if (!frame_check_offload(frame))
		return false;
	door_emit_frame(&door, frame);
	return true;
}
