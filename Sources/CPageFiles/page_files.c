// The page's files as constants: #embed (C23) costs a second of compiling where a Swift array literal costs many, and the
// compiler notes the files as dependencies.
#include "page_files.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char entrer_html[] = {
#embed "../Web/assets/entrer.html"
};
static const unsigned char entrer_js[] = {
#embed "../Web/assets/entrer.js"
};
static const unsigned char index_html[] = {
#embed "../Web/assets/index.html"
};
static const unsigned char app_js[] = {
#embed "../Web/assets/app.js"
};
static const unsigned char api_js[] = {
#embed "../Web/assets/api.js"
};
static const unsigned char dom_js[] = {
#embed "../Web/assets/dom.js"
};
static const unsigned char visits_js[] = {
#embed "../Web/assets/visits.js"
};
static const unsigned char opinions_js[] = {
#embed "../Web/assets/opinions.js"
};
static const unsigned char electrodes_js[] = {
#embed "../Web/assets/electrodes.js"
};
static const unsigned char devices_js[] = {
#embed "../Web/assets/devices.js"
};
static const unsigned char calipers_js[] = {
#embed "../Web/assets/calipers.js"
};
static const unsigned char media_js[] = {
#embed "../Web/assets/media.js"
};
static const unsigned char images_js[] = {
#embed "../Web/assets/images.js"
};
static const unsigned char plan_js[] = {
#embed "../Web/assets/plan.js"
};
static const unsigned char live_js[] = {
#embed "../Web/assets/live.js"
};
static const unsigned char recordings_js[] = {
#embed "../Web/assets/recordings.js"
};
static const unsigned char sending_js[] = {
#embed "../Web/assets/sending.js"
};
static const unsigned char ecg_js[] = {
#embed "../Web/assets/ecg.js"
};
static const unsigned char strings_js[] = {
#embed "../Web/assets/strings.js"
};
static const unsigned char style_css[] = {
#embed "../Web/assets/style.css"
};
static const unsigned char icon_svg[] = {
#embed "../Web/assets/icon.svg"
};

#define FILE_OF(name, bytes) {name, bytes, sizeof bytes}

static const struct ess_page_file files[] = {
    FILE_OF("entrer.html", entrer_html),
    FILE_OF("entrer.js", entrer_js),
    FILE_OF("index.html", index_html),
    FILE_OF("app.js", app_js),
    FILE_OF("api.js", api_js),
    FILE_OF("dom.js", dom_js),
    FILE_OF("visits.js", visits_js),
    FILE_OF("opinions.js", opinions_js),
    FILE_OF("electrodes.js", electrodes_js),
    FILE_OF("devices.js", devices_js),
    FILE_OF("calipers.js", calipers_js),
    FILE_OF("media.js", media_js),
    FILE_OF("images.js", images_js),
    FILE_OF("plan.js", plan_js),
    FILE_OF("live.js", live_js),
    FILE_OF("recordings.js", recordings_js),
    FILE_OF("sending.js", sending_js),
    FILE_OF("ecg.js", ecg_js),
    FILE_OF("strings.js", strings_js),
    FILE_OF("style.css", style_css),
    FILE_OF("icon.svg", icon_svg),
};

int ess_page_file_count(void) { return sizeof files / sizeof files[0]; }

struct ess_page_file ess_page_file(int index) { return files[index]; }
