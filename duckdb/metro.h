#ifndef DRUMLIN_METRO_H
#define DRUMLIN_METRO_H

#include <stddef.h>
#include <stdint.h>

enum { DR_METRO_SEED = 1337 };

uint64_t dr_metro(const char *text, size_t bytes);

#endif
