#pragma once
#include <stddef.h>

/// One file of the pathways that the agent comes with, as it is in `pathways/`.
struct ess_pathway_file {
    const char *name;
    const unsigned char *bytes;
    size_t size;
};

int ess_pathway_file_count(void);
/// 0 <= index < ess_pathway_file_count().
struct ess_pathway_file ess_pathway_file(int index);
