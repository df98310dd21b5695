/* One connection, one question for 20 registers after the other, by libmodbus: prints readings a second.
 * cc -O2 libmodbus.c -o libmodbus $(pkg-config --cflags --libs libmodbus); ./libmodbus HOST PORT SECONDS */
#include <errno.h>
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  uint16_t words[20];
  if (argc != 4) {
    fprintf(stderr, "usage: %s HOST PORT SECONDS\n", argv[0]);
    return 64;
  }
  modbus_t *client = modbus_new_tcp(argv[1], atoi(argv[2]));
  if (client == NULL || modbus_set_slave(client, 1) != 0 || modbus_connect(client) != 0) {
    fprintf(stderr, "%s:%s: %s\n", argv[1], argv[2], modbus_strerror(errno));
    return 69;
  }
  const double seconds = atof(argv[3]);
  const double began = now();
  long count = 0;
  for (; now() - began < seconds; count++) {
    if (modbus_read_input_registers(client, 0, 20, words) != 20) {
      fprintf(stderr, "no reading: %s\n", modbus_strerror(errno));
      return 74;
    }
  }
  printf("%f\n", (double)count / (now() - began));
  modbus_close(client);
  modbus_free(client);
  return 0;
}
