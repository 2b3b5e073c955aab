/* A whole kernel, which finds an Intel 82540EM (e1000), resets it and sends one frame.
 *
 * docs/kernel-driver.md says how to compile and start it. "8254x" is Intel's manual 317453-006. */
#include <stdint.h>

enum { /* 8254x 13.4; `motenet registers e1000 CTRL` explains each */
    CTRL = 0x0000, STATUS = 0x0008, IMC = 0x00D8, TCTL = 0x0400, TIPG = 0x0410,
    TDBAL = 0x3800, TDBAH = 0x3804, TDLEN = 0x3808, TDH = 0x3810, TDT = 0x3818, RAL = 0x5400, RAH = 0x5404,
    CTRL_ASDE = 1 << 5, CTRL_SLU = 1 << 6, CTRL_RST = 1 << 26, STATUS_LU = 1 << 1,
    TCTL_EN = 1 << 1, TCTL_PSP = 1 << 3, TCTL_CT = 0x10 << 4, TCTL_COLD = 0x40 << 12,
    EOP = 1 << 0, IFCS = 1 << 1, RS = 1 << 3, DD = 1 << 0
};

struct descriptor { /* legacy transmit descriptor, 8254x 3.3.3 */
    uint64_t address;
    uint16_t length;
    uint8_t cso, command, status, css;
    uint16_t special;
};

static volatile struct descriptor ring[8] __attribute__((aligned(16))); /* TDLEN counts in 128 bytes: 8 at least */
static uint8_t frame[60] = { /* ARP: who has 10.0.0.2, tell 10.0.0.1; the card's address goes to 6 and 22 */
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0x08, 0x06,
    0, 1, 0x08, 0, 6, 4, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2
};
static volatile uint32_t *registers;

static void outb(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static void outl(uint16_t port, uint32_t value) { __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }
static uint8_t inb(uint16_t port) { uint8_t v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static uint32_t inl(uint16_t port) { uint32_t v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }

static void print(const char *text) { /* the first serial line */
    for (; *text; text++) {
        while (!(inb(0x3FD) & 0x20)) {}
        outb(0x3F8, *text);
    }
}

static void print_hex(const char *label, uint32_t value) {
    char digits[] = "00000000\r\n";
    for (int i = 0; i < 8; i++) digits[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
    print(label);
    print(digits);
}

static void sleep_10ms(void) { /* the second channel of the PC's timer: 11932 ticks of 1193182 Hz */
    outb(0x61, (inb(0x61) & ~2) | 1);
    outb(0x43, 0xB0);
    outb(0x42, 11932 & 0xFF);
    outb(0x42, 11932 >> 8);
    while (!(inb(0x61) & 0x20)) {}
}

static uint32_t config_read(int device, int offset) { /* PCI's configuration mechanism 1, bus 0 */
    outl(0xCF8, 1u << 31 | device << 11 | offset);
    return inl(0xCFC);
}

static void config_write(int device, int offset, uint32_t value) {
    outl(0xCF8, 1u << 31 | device << 11 | offset);
    outl(0xCFC, value);
}

static uint32_t get(int offset) { return registers[offset / 4]; }
static void set(int offset, uint32_t value) { registers[offset / 4] = value; }

static int send_one_frame(void) {
    int device = 0;
    while (device < 32 && config_read(device, 0) != 0x100E8086) device++;
    if (device == 32) return print("no 82540EM on bus 0\r\n"), 1;
    config_write(device, 4, (config_read(device, 4) & 0xFFFF) | 6); /* COMMAND: memory space, bus master */
    registers = (volatile uint32_t *)(config_read(device, 0x10) & ~15u);
    print_hex("82540EM, registers at ", (uint32_t)registers);

    set(IMC, 0xFFFFFFFF);
    set(CTRL, get(CTRL) | CTRL_RST);
    sleep_10ms(); /* it loads its EEPROM again (8254x 5.6, 14.3) */
    set(IMC, 0xFFFFFFFF);
    set(CTRL, get(CTRL) | CTRL_ASDE | CTRL_SLU);
    uint32_t low = get(RAL), high = get(RAH); /* the EEPROM's address */
    print_hex("address, its first four bytes: ", __builtin_bswap32(low));
    for (int i = 0; i < 6; i++) frame[6 + i] = frame[22 + i] = i < 4 ? low >> 8 * i : high >> 8 * (i - 4);
    for (int tries = 0; !(get(STATUS) & STATUS_LU); tries++) { /* auto-negotiation */
        if (tries == 500) return print("no link\r\n"), 1;
        sleep_10ms();
    }
    print_hex("link, STATUS ", get(STATUS));

    set(TDBAL, (uint32_t)ring);
    set(TDBAH, 0);
    set(TDLEN, sizeof ring);
    set(TDH, 0);
    set(TDT, 0);
    set(TIPG, 10 | 8 << 10 | 6 << 20); /* 8254x 13.4.34 */
    set(TCTL, TCTL_EN | TCTL_PSP | TCTL_CT | TCTL_COLD);
    ring[0].address = (uint32_t)frame;
    ring[0].length = sizeof frame;
    ring[0].command = EOP | IFCS | RS;
    set(TDT, 1); /* x86 keeps stores in order; other processors need a barrier before this */
    for (int tries = 0; !(ring[0].status & DD); tries++) {
        if (tries == 100) return print("the frame was not sent\r\n"), 1;
        sleep_10ms();
    }
    print_hex("sent, TDH ", get(TDH));
    return 0;
}

void kernel(void) {
    print(send_one_frame() ? "failed\r\n" : "done\r\n");
    for (outb(0xCF9, 6);;) {} /* reset; QEMU's -no-reboot makes that its end */
}

uint8_t stack[4096] __attribute__((aligned(16)));
__asm__(".text; .align 4; .long 0x1BADB002, 0, -0x1BADB002;" /* a multiboot loader looks for this in the first 8 KiB */
        ".globl _start; _start: cli; mov $stack + 4096, %esp; call kernel");
