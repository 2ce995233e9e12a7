/* What an engine in a guest's hands says to its informant: a question is accepted as the one that its own words make
 * again, byte by byte, and asks for what there is. */

#include "fuzz.h"

#include <string.h>

#include "network/informant_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (; size >= INFORMANT_QUESTION_SIZE;
	     data += INFORMANT_QUESTION_SIZE, size -= INFORMANT_QUESTION_SIZE) {
		uint8_t again[INFORMANT_QUESTION_SIZE];
		struct writer writer = writer_of(again, sizeof(again));
		struct informant_question question;

		if (!informant_parse_question(data, &question))
			return 0;
		FUZZ_CHECK(question.kind >= INFORMANT_HELLO && question.kind <= INFORMANT_HELD);
		FUZZ_CHECK(question.file < INFORMANT_FILES);
		informant_build_question(&writer, &question);
		FUZZ_CHECK(writer_ok(&writer) && writer.position == sizeof(again));
		FUZZ_CHECK(memcmp(again, data, sizeof(again)) == 0);
	}
	return 0;
}
