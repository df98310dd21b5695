//! Bytes of a settlement are items that say the same bytes again.

use contracts::provider::{Item, pack};

/// Whatever stands in an item can be packed again, to the same bytes: no bit is lost or added, no charge changes its
/// sign.
pub fn check(bytes: &[u8]) {
    let (packed, _) = bytes.as_chunks::<{ Item::LEN }>();
    let items: Vec<Item> = packed.iter().map(Item::unpack).collect();
    for (item, bytes) in items.iter().zip(packed) {
        assert_eq!(item.charge.0 < 0, bytes[19] & 0x80 != 0, "{item:?}");
    }
    assert_eq!(pack(&items).ok(), (!items.is_empty()).then(|| packed.concat()));
}
