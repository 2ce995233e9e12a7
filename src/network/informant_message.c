#include "network/informant_message.h"

#include <errno.h>

#include "base/clock.h"
#include "host/hosts_file.h"
#include "host/resolv_conf.h"

#define INFORMANT_ERRNO_MOST 4095 /* of the kernel's */

static void message_write_u64(struct writer *writer, uint64_t value)
{
	writer_u32(writer, (uint32_t)(value >> 32));
	writer_u32(writer, (uint32_t)value);
}

static uint64_t message_read_u64(struct reader *reader)
{
	uint64_t high = reader_u32(reader);

	return high << 32 | reader_u32(reader);
}

/* All that is left must be 0. */
static bool message_read_zeroes(struct reader *reader)
{
	uint8_t sum = 0;

	while (reader_left(reader) > 0)
		sum |= reader_u8(reader);
	return sum == 0;
}

size_t informant_file_most(enum informant_file file)
{
	return file == INFORMANT_HOSTS ? HOSTS_FILE_SIZE_MAX : RESOLV_CONF_SIZE_MAX;
}

void informant_build_question(struct writer *writer, const struct informant_question *question)
{
	size_t end = writer->position + INFORMANT_QUESTION_SIZE;

	writer_u32(writer, question->sequence);
	writer_u16(writer, (uint16_t)question->kind);
	writer_u16(writer, 0);
	switch (question->kind) {
	case INFORMANT_HELLO:
		writer_u32(writer, question->version);
		writer_u32(writer, 0);
		message_write_u64(writer, (uint64_t)question->holding);
		message_write_u64(writer, (uint64_t)question->owner);
		break;
	case INFORMANT_LOOK:
	case INFORMANT_READ:
		writer_u32(writer, question->file);
		break;
	case INFORMANT_HELD:
		writer_u32(writer, ip_addr_to_v4(&question->addr));
		break;
	}
	writer_zeroes(writer, end - writer->position);
}

bool informant_parse_question(const uint8_t *bytes, struct informant_question *ret_question)
{
	struct reader reader = reader_of(bytes, INFORMANT_QUESTION_SIZE);
	struct informant_question question = { .sequence = reader_u32(&reader) };
	uint16_t kind = reader_u16(&reader);
	uint32_t first;
	bool good = reader_u16(&reader) == 0;

	question.kind = (enum informant_kind)kind;
	first = reader_u32(&reader);
	switch (kind) {
	case INFORMANT_HELLO:
		question.version = first;
		good = good && reader_u32(&reader) == 0;
		question.holding = (int64_t)message_read_u64(&reader);
		question.owner = (int64_t)message_read_u64(&reader);
		break;
	case INFORMANT_LOOK:
	case INFORMANT_READ:
		good = good && first < INFORMANT_FILES;
		question.file = (enum informant_file)(good ? first : 0);
		break;
	case INFORMANT_HELD:
		question.addr = ip_addr_from_v4(first);
		break;
	default:
		return false;
	}
	if (!good || !message_read_zeroes(&reader))
		return false;
	*ret_question = question;
	return true;
}

void informant_build_header(struct writer *writer, const struct informant_header *header)
{
	writer_u32(writer, header->sequence);
	writer_u16(writer, (uint16_t)header->kind);
	writer_u16(writer, (uint16_t)-header->status);
	writer_u32(writer, (uint32_t)header->size);
	writer_u32(writer, 0);
}

static bool message_is_size_of(const struct informant_header *header)
{
	if (header->status != 0)
		return header->size == 0;
	switch (header->kind) {
	case INFORMANT_HELLO:
		return header->size == 0;
	case INFORMANT_LOOK:
		return header->size == INFORMANT_IDENTITY_SIZE;
	case INFORMANT_READ:
		return header->size <= HOSTS_FILE_SIZE_MAX; /* the larger of the two */
	case INFORMANT_HELD:
		return header->size == INFORMANT_HELD_SIZE;
	}
	return false;
}

bool informant_parse_header(const uint8_t *bytes, struct informant_header *ret_header)
{
	struct reader reader = reader_of(bytes, INFORMANT_HEADER_SIZE);
	struct informant_header header = { .sequence = reader_u32(&reader) };
	uint16_t kind = reader_u16(&reader);
	uint16_t number = reader_u16(&reader);

	header.size = reader_u32(&reader);
	if (kind < INFORMANT_HELLO || kind > INFORMANT_HELD || number > INFORMANT_ERRNO_MOST ||
	    !message_read_zeroes(&reader))
		return false;
	header.kind = (enum informant_kind)kind;
	header.status = -(int)number;
	if (!message_is_size_of(&header))
		return false;
	*ret_header = header;
	return true;
}

void informant_build_identity(struct writer *writer, const struct file_identity *identity)
{
	writer_u32(writer, identity->exists);
	writer_u32(writer, (uint32_t)identity->modified.tv_nsec);
	writer_u32(writer, (uint32_t)identity->changed.tv_nsec);
	writer_u32(writer, 0);
	message_write_u64(writer, identity->device);
	message_write_u64(writer, identity->inode);
	message_write_u64(writer, identity->size);
	message_write_u64(writer, (uint64_t)identity->modified.tv_sec);
	message_write_u64(writer, (uint64_t)identity->changed.tv_sec);
}

bool informant_parse_identity(const uint8_t *bytes, struct file_identity *ret_identity)
{
	struct reader reader = reader_of(bytes, INFORMANT_IDENTITY_SIZE);
	struct file_identity identity = { 0 };
	uint32_t exists = reader_u32(&reader);
	uint32_t modified_ns = reader_u32(&reader);
	uint32_t changed_ns = reader_u32(&reader);

	if (exists > 1 || modified_ns >= NS_PER_S || changed_ns >= NS_PER_S ||
	    reader_u32(&reader) != 0)
		return false;
	identity.exists = exists == 1;
	identity.device = message_read_u64(&reader);
	identity.inode = message_read_u64(&reader);
	identity.size = message_read_u64(&reader);
	identity.modified.tv_sec = (time_t)message_read_u64(&reader);
	identity.modified.tv_nsec = (long)modified_ns;
	identity.changed.tv_sec = (time_t)message_read_u64(&reader);
	identity.changed.tv_nsec = (long)changed_ns;
	*ret_identity = identity;
	return true;
}

void informant_build_held(struct writer *writer, const struct held_answer *answer)
{
	writer_u32(writer, answer->held);
	writer_u32(writer, answer->first);
	writer_u32(writer, answer->last);
	writer_u32(writer, 0);
	message_write_u64(writer, answer->for_ns);
}

bool informant_parse_held(const uint8_t *bytes, struct held_answer *ret_answer)
{
	struct reader reader = reader_of(bytes, INFORMANT_HELD_SIZE);
	uint32_t held = reader_u32(&reader);
	struct held_answer answer = { .held = held == 1 };

	answer.first = reader_u32(&reader);
	answer.last = reader_u32(&reader);
	if (held > 1 || answer.first > answer.last || reader_u32(&reader) != 0)
		return false;
	answer.for_ns = message_read_u64(&reader);
	if (answer.for_ns > HELD_SNAPSHOT_MOST_NS)
		return false;
	*ret_answer = answer;
	return true;
}
