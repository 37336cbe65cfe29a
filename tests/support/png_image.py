"""PNG files with nothing but the standard library."""
import struct
import zlib


def png(width, height, pixel):
    """8 bits a channel; pixel(x, y) gives (red, green, blue)."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(value for x in range(width) for value in pixel(x, y)) for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def stripes(width, height, seed):
    """Images that differ by `seed`."""
    return png(width, height, lambda x, y: ((x * 37 + seed * 3) % 256, y * (seed + 1) * 37 % 256, (x * y + 11 * seed) * 37 % 256))
