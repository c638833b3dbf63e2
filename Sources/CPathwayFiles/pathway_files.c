// The first set of pathways as constants: the agent works without a directory, and a region's own files go over them.
#include "pathway_files.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char blocks_json[] = {
#embed "../../pathways/blocks.json"
};
static const unsigned char pathways_json[] = {
#embed "../../pathways/pathways.json"
};

static const struct ess_pathway_file files[] = {
    {"blocks.json", blocks_json, sizeof blocks_json},
    {"pathways.json", pathways_json, sizeof pathways_json},
};

int ess_pathway_file_count(void) { return sizeof files / sizeof files[0]; }

struct ess_pathway_file ess_pathway_file(int index) { return files[index]; }
