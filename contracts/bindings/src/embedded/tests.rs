use super::*;
use crate::key::{LocalKey, Signer};
use crate::tx::Transaction;
use domain::Timestamp;

fn start(dir: &Path, key: &LocalKey) -> EmbeddedChain {
    let alloc = vec![(key.address(), U256::from(10).pow(U256::from(20)))];
    let clock = Clock::new(1, || Timestamp(1_800_000_000_000));
    EmbeddedChain::open(dir, Genesis { chain_id: 99, alloc }, clock).unwrap()
}

fn transfer(chain: &EmbeddedChain, key: &LocalKey) -> Result<B256, ChainError> {
    let call = Call { to: Some(Address::repeat_byte(7)), value: U256::from(5), data: Vec::new() };
    let fees = chain.fees()?;
    let tx = Transaction { chain_id: 99, nonce: chain.nonce(key.address())?, fees, gas_limit: 21_000, call };
    chain.send(&tx.sign(key).unwrap().raw)
}

#[test]
fn a_write_that_fails_changes_nothing_and_stops_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let key = LocalKey::generate().unwrap();
    let chain = start(dir.path(), &key);
    transfer(&chain, &key).unwrap();
    let before = (chain.head().unwrap(), chain.balance(key.address()).unwrap());
    chain.store.write().unwrap().sabotage();
    for _ in 0..2 {
        let error = transfer(&chain, &key).unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!((chain.head().unwrap(), chain.balance(key.address()).unwrap()), before);
        assert_eq!(chain.nonce(key.address()).unwrap(), 1);
    }
    assert!(transfer(&chain, &key).unwrap_err().to_string().contains("restart"));
    drop(chain);
    let chain = start(dir.path(), &key);
    assert_eq!(chain.head().unwrap(), before.0);
    transfer(&chain, &key).unwrap();
}

#[test]
fn a_copy_of_a_chain_that_is_open_is_put_back_and_never_over_what_knows_more() {
    let dir = tempfile::tempdir().unwrap();
    let key = LocalKey::generate().unwrap();
    let (live, copy) = (dir.path().join("live"), dir.path().join("copy"));
    assert_eq!(back_up(&live, &copy).unwrap(), None);
    let chain = start(&live, &key);
    transfer(&chain, &key).unwrap();
    let made = back_up(&live, &copy).unwrap().unwrap();
    assert_eq!((made.blocks, made.bytes), (1, std::fs::metadata(&copy).unwrap().len()));
    assert!(matches!(back_up(&live, &copy), Err(EmbeddedError::Io { .. })), "a file that is there was overwritten");
    transfer(&chain, &key).unwrap();
    assert!(matches!(put_back(&copy, &live), Err(EmbeddedError::InUse { .. })));
    let head = chain.head().unwrap();
    drop(chain);

    assert_eq!(put_back(&copy, &live).unwrap(), PutBack::Kept(1));
    assert_eq!(start(&live, &key).head().unwrap(), head);

    let fresh = dir.path().join("fresh");
    assert_eq!(put_back(&copy, &fresh).unwrap(), PutBack::Placed(1));
    let chain = start(&fresh, &key);
    assert_eq!(chain.head().unwrap().number, 1);
    transfer(&chain, &key).unwrap();
    drop(chain);

    // A later copy of the same chain goes further; one of a chain that went another way is none of it.
    let later = dir.path().join("later");
    back_up(&live, &later).unwrap();
    assert_eq!(put_back(&copy, &dir.path().join("again")).unwrap(), PutBack::Placed(1));
    assert_eq!(put_back(&later, &dir.path().join("again")).unwrap(), PutBack::Placed(2));
    let other = LocalKey::generate().unwrap();
    let chain = start(&dir.path().join("other"), &other);
    transfer(&chain, &other).unwrap();
    drop(chain);
    assert!(matches!(put_back(&copy, &dir.path().join("other")), Err(EmbeddedError::OtherChain { .. })));

    // What a write that was cut off left behind is not copied, and damage is not taken for it.
    let file = live.join("chain.log");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, [&whole[..], &[0xb1, 0x0c, 0x1e]].concat()).unwrap();
    let torn = dir.path().join("torn");
    assert_eq!(back_up(&live, &torn).unwrap().unwrap().blocks, 2);
    assert_eq!(std::fs::read(&torn).unwrap(), whole);
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    assert!(matches!(back_up(&live, &dir.path().join("no")), Err(EmbeddedError::Damaged { .. })));
    std::fs::write(&file, b"junk").unwrap();
    assert!(matches!(put_back(&file, &fresh), Err(EmbeddedError::Damaged { .. })));
}

#[test]
fn a_record_whose_changes_break_off_is_no_block() {
    let change = |last: u8| {
        let mut s = rlp::RlpStream::new_list(2);
        s.begin_list(1).append(&Address::repeat_byte(1).as_slice());
        s.begin_list(1).append(&Address::repeat_byte(last).as_slice());
        s.out().to_vec()
    };
    let genesis = block::Block::genesis(block::Header::genesis(1, &[])).encode();
    // The genesis changes nothing: its last byte is that empty list.
    let with = |changes: &[u8]| {
        let list = rlp::Rlp::new(&genesis);
        let mut s = rlp::RlpStream::new_list(5);
        for part in list.iter().take(4) {
            s.append_raw(part.as_raw(), 1);
        }
        s.append_raw(changes, 1);
        s.out().to_vec()
    };
    let whole = with(&change(2));
    assert_eq!(block::Block::decode(&whole).unwrap().encode(), whole);
    let mut broken = change(2);
    // The second change says that it is one byte longer than there is room for.
    broken[23] += 1;
    assert!(block::Block::decode(&with(&broken)).is_err());
}

#[test]
fn the_base_fee_follows_eip_1559() {
    let mut header = block::Header::genesis(1, &[]);
    header.gas_used = block::GAS_LIMIT;
    assert_eq!(header.next_base_fee(), 1_125_000_000);
    header.gas_used = block::GAS_LIMIT / 2;
    assert_eq!(header.next_base_fee(), 1_000_000_000);
    header.gas_used = 0;
    assert_eq!(header.next_base_fee(), 875_000_000);
    header.base_fee = 7;
    assert_eq!(header.next_base_fee(), 7);
    header.gas_used = block::GAS_LIMIT / 2 + 1;
    assert_eq!(header.next_base_fee(), 8);
}

#[test]
fn the_machine_recovers_signers_as_contracts_do() {
    let dir = tempfile::tempdir().unwrap();
    let key = LocalKey::generate().unwrap();
    let chain = start(dir.path(), &key);
    let digest = crate::keccak256("said by the key");
    let signature = key.sign(digest).unwrap();
    let v = B256::from(U256::from(27 + u8::from(signature.y_odd)));
    let (r, s) = (signature.r.to_be_bytes::<32>(), signature.s.to_be_bytes::<32>());
    let data = [&digest[..], &v[..], &r, &s].concat();
    let call = Call { to: Some(Address::with_last_byte(1)), value: U256::ZERO, data };
    assert_eq!(chain.call(Address::ZERO, &call).unwrap(), key.address().into_word().to_vec());
}

#[test]
fn readers_and_a_sender_share_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let key = LocalKey::generate().unwrap();
    let chain = start(dir.path(), &key);
    std::thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                let mut last = 0;
                while last < 20 {
                    let head = chain.head().unwrap().number;
                    assert!(head >= last);
                    last = head;
                    assert!(chain.handle(br#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}"#).len() > 10);
                }
            });
        }
        for _ in 0..20 {
            transfer(&chain, &key).unwrap();
        }
    });
}
