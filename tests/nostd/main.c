/* Links the static library with the C library only, and runs it. */
unsigned long rendezvous_nostd(const unsigned char *bytes);

int main(void) {
    unsigned char bytes[64] = {0};
    return rendezvous_nostd(bytes) == 0;
}
