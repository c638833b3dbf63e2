#pragma once
#include <libusb-1.0/libusb.h>

/// libusb without a list of devices of its own: udev says what is there, we open it. The function is variadic, which
/// Swift can't call. To be called before libusb_init.
static inline int ess_usb_without_discovery(void) {
    return libusb_set_option(NULL, LIBUSB_OPTION_NO_DEVICE_DISCOVERY);
}
