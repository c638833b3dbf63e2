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

#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/// A socket that hears of links, addresses and routes; -1 with errno where there is none.
static inline int ess_netlink_open(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) return -1;
    struct sockaddr_nl address;
    memset(&address, 0, sizeof address);
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

/// Reads one message without waiting, whatever is in it.
static inline long ess_netlink_drain(int fd, void *buffer, unsigned long size) {
    return recv(fd, buffer, size, MSG_DONTWAIT);
}

/// Wakes a thread that polls it.
static inline int ess_wake_open(void) { return eventfd(0, EFD_CLOEXEC); }

/// The IPv4 address of a link that is up and isn't loopback, else 0; in network order.
static inline uint32_t ess_link_address(const struct ifaddrs *entry) {
    if (!entry->ifa_addr || entry->ifa_addr->sa_family != AF_INET) return 0;
    if (!(entry->ifa_flags & IFF_UP) || (entry->ifa_flags & IFF_LOOPBACK)) return 0;
    return ((const struct sockaddr_in *)entry->ifa_addr)->sin_addr.s_addr;
}
