/* The function that libstdc++'s random_device calls where the C library of the build machine has
 * it, from version 2.36 on. With this one the programs run with older C libraries too. */

#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

uint32_t arc4random(void) {
    uint32_t value;
    /* Blocks only until the kernel's generator is ready once after boot; a signal interrupts it then. */
    while (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value) {
    }
    return value;
}
