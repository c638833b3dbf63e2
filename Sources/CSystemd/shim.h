#pragma once
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

// sd-bus's calls are variadic where it matters, which Swift can't call.

/// logind: sleep waits up to InhibitDelayMaxSec for this descriptor to be closed. Negative: an errno of sd-bus.
static inline int ess_bus_inhibit_sleep(sd_bus *bus, const char *why) {
    sd_bus_message *reply = NULL;
    int fd = -1;
    int code = sd_bus_call_method(
        bus, "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "Inhibit", NULL,
        &reply, "ssss", "sleep", "ess-agent", why, "delay");
    if (code >= 0) code = sd_bus_message_read(reply, "h", &fd);
    // The message owns its descriptor.
    if (code >= 0) fd = dup(fd);
    sd_bus_message_unref(reply);
    return code < 0 ? code : fd;
}

/// 1 when a PrepareForSleep signal says that sleep begins, 0 when it is over.
static inline int ess_bus_read_flag(sd_bus_message *message) {
    int flag = 0;
    return sd_bus_message_read(message, "b", &flag) < 0 ? -1 : flag;
}

/// Whether the wall clock follows NTP, as timedated says: 1, 0, or -1 when it can't be asked.
static inline int ess_bus_clock_is_synchronised(sd_bus *bus) {
    int value = 0;
    // systemd starts it for the question; a capture doesn't wait for it, and the next question finds it started.
    sd_bus_set_method_call_timeout(bus, 1000000);
    int code = sd_bus_get_property_trivial(
        bus, "org.freedesktop.timedate1", "/org/freedesktop/timedate1", "org.freedesktop.timedate1", "NTPSynchronized",
        NULL, 'b', &value);
    return code < 0 ? -1 : value != 0;
}

/// A property of NetworkManager itself; 0 when it can't be had.
static inline uint32_t ess_bus_network_property(sd_bus *bus, const char *name) {
    uint32_t value = 0;
    sd_bus_error error = SD_BUS_ERROR_NULL;
    int code = sd_bus_get_property_trivial(
        bus, "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager", "org.freedesktop.NetworkManager", name,
        &error, 'u', &value);
    sd_bus_error_free(&error);
    return code < 0 ? 0 : value;
}
