/* Checks of text: ASCII fast, UTF-8 strict (no overlong forms, no surrogates, nothing above U+10FFFF). */
#ifndef DRUMLIN_UTF8_H
#define DRUMLIN_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool dr_is_ascii(const char *text, size_t n) {
	uint64_t high = 0;
	size_t i = 0;
	for (; i + 32 <= n; i += 32) {
		uint64_t w[4];
		memcpy(w, text + i, 32);
		high |= w[0] | w[1] | w[2] | w[3];
	}
	for (; i < n; i++)
		high |= (uint64_t)(uint8_t)text[i];
	return (high & 0x8080808080808080ULL) == 0;
}

static inline bool dr_is_utf8(const char *text, size_t n) {
	const uint8_t *p = (const uint8_t *)text, *end = p + n;
	while (p < end) {
		uint8_t lead = *p++;
		if (lead < 0x80)
			continue;
		int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
		if (lead < 0xC2 || lead > 0xF4 || end - p < more)
			return false;
		uint8_t second = *p;
		if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
		    (lead == 0xF4 && second > 0x8F))
			return false;
		for (; more > 0; more--)
			if ((*p++ & 0xC0) != 0x80)
				return false;
	}
	return true;
}

#endif
