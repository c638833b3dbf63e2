#pragma once
// What glibc's Swift module map leaves out.
#include <sys/timex.h>

/// 1 when the kernel says that the wall clock is synchronised, 0 when not, -1 when it can't be asked.
static inline int ess_clock_is_synchronised(void) {
    struct timex query = {0};
    int state = adjtimex(&query);
    if (state < 0) return -1;
    return state != TIME_ERROR && !(query.status & STA_UNSYNC);
}
