/* MetroHash64 as published by J. Andrew Rogers: the hash under which distinct values are stored in sketches
 * (docs/format/rollup.md). */
#include "metro.h"

#include <string.h>

static const uint64_t k0 = 0xD6D018F5, k1 = 0xA2AA033B, k2 = 0x62992FC1, k3 = 0x30BC5B29;

static uint64_t rotate(uint64_t v, int right) { return v >> right | v << (64 - right); }

/* Little-endian, as the machines are whose memory Arrow shares. */
static uint64_t read(const char *p, size_t n) {
	uint64_t v = 0;
	memcpy(&v, p, n);
	return v;
}

static uint64_t hash_blocks(const char **text, const char *end, uint64_t hash) {
	uint64_t v0 = hash, v1 = hash, v2 = hash, v3 = hash;
	const char *p = *text;
	for (; end - p >= 32; p += 32) {
		v0 = rotate(v0 + read(p, 8) * k0, 29) + v2;
		v1 = rotate(v1 + read(p + 8, 8) * k1, 29) + v3;
		v2 = rotate(v2 + read(p + 16, 8) * k2, 29) + v0;
		v3 = rotate(v3 + read(p + 24, 8) * k3, 29) + v1;
	}
	*text = p;
	v2 ^= rotate((v0 + v3) * k0 + v1, 37) * k1;
	v3 ^= rotate((v1 + v2) * k1 + v0, 37) * k0;
	v0 ^= rotate((v0 + v2) * k0 + v3, 37) * k1;
	v1 ^= rotate((v1 + v3) * k1 + v2, 37) * k0;
	return hash + (v0 ^ v1);
}

uint64_t dr_metro(const char *p, size_t n) {
	const char *end = p + n;
	uint64_t hash = (DR_METRO_SEED + k2) * k0;
	if (n >= 32)
		hash = hash_blocks(&p, end, hash);
	if (end - p >= 16) {
		uint64_t v0 = rotate(hash + read(p, 8) * k2, 29) * k3, v1 = rotate(hash + read(p + 8, 8) * k2, 29) * k3;
		v0 ^= rotate(v0 * k0, 21) + v1;
		v1 ^= rotate(v1 * k3, 21) + v0;
		hash += v1;
		p += 16;
	}
	if (end - p >= 8) {
		hash += read(p, 8) * k3;
		hash ^= rotate(hash, 55) * k1;
		p += 8;
	}
	if (end - p >= 4) {
		hash += read(p, 4) * k3;
		hash ^= rotate(hash, 26) * k1;
		p += 4;
	}
	if (end - p >= 2) {
		hash += read(p, 2) * k3;
		hash ^= rotate(hash, 48) * k1;
		p += 2;
	}
	if (end - p >= 1) {
		hash += read(p, 1) * k3;
		hash ^= rotate(hash, 37) * k1;
	}
	hash ^= rotate(hash, 28);
	hash *= k0;
	return hash ^ rotate(hash, 29);
}
