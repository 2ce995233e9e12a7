#include "attach/door.h"

#include "wire/frame_segment.h"

struct door {
	door_emit *emit;
	void *context;
};

/* IEEE 802.3 wants 60 bytes without FCS; some guests drop shorter frames. */
static const uint8_t door_padding[FRAME_MIN_SIZE];

static void door_emit_segment(void *context, const struct frame *frame)
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
	door->emit(door->context, parts, count, size);
}

bool door_pass(struct frame *frame, door_emit *emit, void *context)
{
	struct door door = { .emit = emit, .context = context };

	return frame_segment(frame, door_emit_segment, &door) > 0;
}
