//! Balances at the edge of what the contract keeps. No street ever gets there, and no test could in its lifetime: so the
//! balance is written into the account's word, and the contract goes on from there.

use crate::street::{PRICES, charged, item};
use contracts::provider::{self, Item};
use contracts::tx::Call;
use contracts::{Address, B256, U256};
use domain::{Money, WattHours};
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, Output};
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::{Bytes, TxKind};
use revm::state::AccountInfo;
use revm::{Context, ExecuteCommitEvm, MainBuilder, MainContext};

const ME: Address = Address::repeat_byte(1);
/// Balances stay in -2^62 and above, and below 2^62, wherever a settlement leaves them.
const EDGE: i128 = 1 << 62;
const BALANCE_BITS: usize = 88;

/// A machine with nothing but the contract, and account 1 open.
struct Bare {
    db: CacheDB<EmptyDB>,
    provider: Address,
    slot: U256,
}

impl Bare {
    fn new() -> Self {
        let mut db = CacheDB::new(EmptyDB::default());
        db.insert_account_info(ME, AccountInfo { balance: U256::MAX >> 1, ..AccountInfo::default() });
        let mut bare = Self { db, provider: Address::ZERO, slot: U256::ZERO };
        let deploy = provider::deploy_call(U256::from(1), PRICES, Money(0)).unwrap();
        let Ok(Output::Create(_, Some(at))) = bare.run(&deploy) else { panic!("no contract") };
        bare.provider = at;
        bare.run(&provider::open(at, 1, provider::name_word("flat-1").unwrap())).unwrap();
        // Its word is the only one that says open, low and exhausted, and nothing else.
        let fresh = U256::from(7) << 208;
        let storage = &bare.db.cache.accounts[&at].storage;
        bare.slot = *storage.iter().find(|(_, word)| **word == fresh).expect("the account's word").0;
        bare
    }

    /// Runs a call to its end. What it reverts with is put into words.
    fn run(&mut self, call: &Call) -> Result<Output, String> {
        let kind = call.to.map_or(TxKind::Create, TxKind::Call);
        let data = Bytes::copy_from_slice(&call.data);
        let tx = TxEnv::builder().caller(ME).gas_limit(1 << 24).gas_price(0).kind(kind).value(call.value).data(data);
        let evm = Context::mainnet().with_db(&mut self.db).modify_cfg_chained(|cfg| cfg.disable_nonce_check = true);
        match evm.build_mainnet().transact_commit(tx.build().unwrap()).unwrap() {
            ExecutionResult::Success { output, .. } => Ok(output),
            ExecutionResult::Revert { output, .. } => Err(provider::reason(&output)),
            halted @ ExecutionResult::Halt { .. } => panic!("{halted:?}"),
        }
    }

    fn settle(&mut self, sequence: u64, items: &[Item]) -> Result<(), String> {
        let call = provider::settle(self.provider, sequence, 1, B256::ZERO, items).unwrap();
        self.run(&call).map(drop)
    }

    /// Two's complement in the lowest 88 bits of the account's word.
    fn balance(&self) -> i128 {
        let word = self.db.cache.accounts[&self.provider].storage[&self.slot];
        let low = u128::try_from(word & ((U256::from(1) << BALANCE_BITS) - U256::from(1))).unwrap();
        let shift = 128 - BALANCE_BITS;
        i128::from_ne_bytes((low << shift).to_ne_bytes()) >> shift
    }

    fn put(&mut self, balance: i128) {
        let bits = u128::from_ne_bytes(balance.to_ne_bytes()) & ((1 << BALANCE_BITS) - 1);
        let word = U256::from(bits) | (U256::from(if balance > 0 { 1 } else { 7 }) << 208);
        self.db.insert_account_storage(self.provider, self.slot, word).unwrap();
        assert_eq!(self.balance(), balance);
    }
}

#[test]
fn a_balance_that_a_settlement_would_bring_out_of_its_range_reverts_with_the_items_place() {
    let mut bare = Bare::new();
    let step = |charge| charged(item(1, 0, 0, 0), charge);
    let mut sequence = 1;
    // From where, by which charge; how it ends.
    let cases = [
        (EDGE - 1, 0, Some(EDGE - 1)),
        (EDGE - 2, -1, Some(EDGE - 1)),
        (EDGE - 1, -1, None),
        (EDGE - 1, i64::MIN, None),
        (EDGE - 1, i64::MAX, Some(EDGE - 1 - i128::from(i64::MAX))),
        (-EDGE, 0, Some(-EDGE)),
        (1 - EDGE, 1, Some(-EDGE)),
        (-EDGE, 1, None),
        (-EDGE, i64::MAX, None),
        (-EDGE, i64::MIN, None),
        (-EDGE, i64::MIN + 1, Some(EDGE - 1)),
    ];
    for (from, charge, wanted) in cases {
        bare.put(from);
        // The first item does nothing: the second is to be named.
        let said = bare.settle(sequence, &[step(0), step(charge)]);
        match wanted {
            Some(wanted) => assert_eq!((said, bare.balance()), (Ok(()), wanted), "{from} {charge}"),
            None => assert_eq!((said, bare.balance()), (Err("BalanceOutOfRange(1)".into()), from), "{from} {charge}"),
        }
        sequence += u64::from(wanted.is_some());
    }
    // Energy can bring it there too.
    bare.put(-EDGE);
    assert_eq!(bare.settle(sequence, &[item(1, 1, 0, 0)]), Err("BalanceOutOfRange(0)".into()));
    let max = WattHours::REGISTER_MAX.0;
    bare.put(EDGE - 1);
    assert_eq!(bare.settle(sequence, &[item(1, 0, 0, max)]), Err("BalanceOutOfRange(0)".into()));
    bare.settle(sequence, &[item(1, max, max, max)]).unwrap();
    let moved = i128::from(PRICES.off_peak.0) + i128::from(PRICES.peak.0) - i128::from(PRICES.feed_in.0);
    assert_eq!(bare.balance(), EDGE - 1 - i128::from(max) * moved);
}

#[test]
fn a_deposit_finds_room_above_every_balance_that_a_settlement_leaves() {
    let mut bare = Bare::new();
    bare.put(EDGE - 1);
    // All that can ever be paid in.
    let most = (1_i128 << 62) - 1;
    let deposit = provider::deposit(bare.provider, 1, Money(1), U256::from(1)).unwrap();
    let deposit = Call { value: U256::try_from(most).unwrap(), ..deposit };
    bare.run(&deposit).unwrap();
    assert_eq!(bare.balance(), EDGE - 1 + most);
    let more = Call { value: U256::from(1), ..deposit };
    assert_eq!(bare.run(&more).unwrap_err(), "TooMuchPaidIn(1)");
    assert_eq!(bare.settle(1, &[item(1, 0, 0, 0)]), Err("BalanceOutOfRange(0)".into()));
}

#[test]
fn the_largest_charges_add_up_exactly() {
    let mut bare = Bare::new();
    let others: Vec<(u32, B256)> = (2..=300).map(|n| (n, B256::from(U256::from(n)))).collect();
    for some in others.chunks(100) {
        bare.run(&provider::open_many(bare.provider, some)).unwrap();
    }
    // Everybody to the lower edge, and one of them from edge to edge and back, again and again.
    let down = (1..=300).map(|n| charged(item(n, 0, 0, 0), 1 << 62));
    let swings = (0..600).map(|i| charged(item(1, 0, 0, 0), if i % 2 == 0 { -i64::MAX } else { i64::MAX }));
    let items: Vec<Item> = down.chain(swings).collect();
    let call = provider::settle(bare.provider, 1, 1, B256::ZERO, &items).unwrap();
    bare.run(&call).unwrap();
    let earned = 300 * EDGE;
    assert_eq!(bare.balance(), -EDGE);
    let question = Call { data: contracts::keccak256("totals()")[..4].to_vec(), ..call };
    let Ok(Output::Call(totals)) = bare.run(&question) else { panic!("no totals") };
    let word = |i: usize| U256::from_be_slice(&totals[32 * i..32 * (i + 1)]);
    assert_eq!([word(0), word(1), word(2), word(3)], [0, 0, u128::try_from(earned).unwrap(), 0].map(U256::from));
    let answer =
        bare.run(&Call { data: [&contracts::keccak256("account(uint32)")[..4], &[0; 31], &[1]].concat(), ..question });
    let Ok(Output::Call(account)) = answer else { panic!("no account") };
    assert_eq!(U256::from_be_slice(&account[..32]), U256::ZERO.wrapping_sub(U256::from(1_u64 << 62)));
}
