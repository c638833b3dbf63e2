#ifndef CHEAPMETER_H
#define CHEAPMETER_H
#include <stddef.h>

/* Counts the live bytes of the C heap, on which Swift's objects and arrays lie, by standing in front of glibc's malloc. */
void heap_meter_begin(void);
/* Most bytes that were live at one time since `heap_meter_begin`, beyond those that were live then. */
size_t heap_meter_peak(void);

#endif
