use bytesize::ByteSize;

#[test]
fn sizes_are_shown_in_the_largest_unit_that_fits() {
    for (bytes, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024 * 1024 - 1, "1.0 MiB"),
        (3 << 29, "1.5 GiB"),
        (u64::MAX, "16777216.0 TiB"),
    ] {
        assert_eq!(ByteSize(bytes).to_string(), text);
    }
}

#[test]
fn what_is_shown_is_read_back() {
    for bytes in [1, 512, 2048, 5 << 20, 7 << 30, 9 << 40] {
        assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
    }
}
