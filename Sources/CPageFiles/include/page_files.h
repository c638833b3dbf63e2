#pragma once
#include <stddef.h>

/// One file of the nurse's page, as it is in Sources/Web/assets.
struct ess_page_file {
    const char *name;
    const unsigned char *bytes;
    size_t size;
};

int ess_page_file_count(void);
/// 0 <= index < ess_page_file_count().
struct ess_page_file ess_page_file(int index);
