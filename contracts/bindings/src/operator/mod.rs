//! `Operator.sol` from the outside: the grid operator's register of gateways, connection points, meters and switches.

mod views;

pub use views::{
    MeterAt, Ordered, Point, attested, imported_by, is_gateway, is_prover, may_order, meter_at, meter_key_of, meter_of,
    network_fee, ordered, owner, point_of, provider_of, roles_of,
};

use crate::abi::{Writer, function, init_code, to};
use crate::key::{KeyError, Signer};
use crate::tx::Call;
use crate::{Address, B256, U256, keccak256};
use domain::Price;
use std::sync::LazyLock;

/// The committed artefact: ABI, bytecode, compiler and settings, as `contracts/build.mjs` wrote it.
pub const ARTIFACT: &str = include_str!("../../../artifacts/Operator.json");

/// The code that deploys the contract; its constructor takes nothing.
pub static INIT_CODE: LazyLock<Vec<u8>> = LazyLock::new(|| init_code(ARTIFACT));

/// What an address may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Read meters, and switch and attest what it was given.
    pub gateway: bool,
    /// Vouch for positions and dispatches.
    pub prover: bool,
}

impl Roles {
    const GATEWAY: u8 = 1;
    const PROVER: u8 = 2;

    fn bits(self) -> u8 {
        u8::from(self.gateway) * Self::GATEWAY + u8::from(self.prover) * Self::PROVER
    }

    fn of(bits: u8) -> Self {
        Self { gateway: bits & Self::GATEWAY != 0, prover: bits & Self::PROVER != 0 }
    }
}

/// Where a meter stands, in millimetres from the site's origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// East of it.
    pub east: i32,
    /// North of it.
    pub north: i32,
    /// Above it.
    pub up: i32,
}

/// What a meter says of itself, in its own registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Seconds since 1970 by the meter's clock.
    pub time: u64,
    /// Wh since it was made.
    pub imported: u64,
    /// Wh since it was made.
    pub exported: u64,
}

impl Reading {
    pub(crate) fn words(&self, data: Writer) -> Writer {
        [self.time, self.imported, self.exported].into_iter().fold(data, |d, n| d.uint(U256::from(n)))
    }

    /// What the meter signs: the EIP-712 hash of the reading for one registry on one chain.
    #[must_use]
    pub fn digest(&self, chain_id: u64, registry: Address) -> B256 {
        let domain = Writer::new(&[], 5)
            .word(keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"))
            .word(keccak256("Microgrid meter"))
            .word(keccak256("1"))
            .uint(U256::from(chain_id))
            .address(registry);
        let kind = keccak256("Reading(uint64 time,uint64 imported,uint64 exported)");
        let said = self.words(Writer::new(&[], 4).word(kind));
        keccak256([&[0x19, 0x01], &keccak256(domain.done())[..], &keccak256(said.done())[..]].concat())
    }

    /// Signs the reading: r, s and v, as the registry wants them.
    ///
    /// # Errors
    /// Those of the key.
    pub fn sign(&self, chain_id: u64, registry: Address, meter: &dyn Signer) -> Result<[u8; 65], KeyError> {
        let signature = meter.sign(self.digest(chain_id, registry))?;
        let mut out = [0; 65];
        out[..32].copy_from_slice(&signature.r.to_be_bytes::<32>());
        out[32..64].copy_from_slice(&signature.s.to_be_bytes::<32>());
        out[64] = 27 + u8::from(signature.y_odd);
        Ok(out)
    }
}

/// Deploys the contract. The sender is the operator.
#[must_use]
pub fn deploy_call() -> Call {
    Call { to: None, value: U256::ZERO, data: INIT_CODE.clone() }
}

/// Says all that an address may do.
#[must_use]
pub fn set_roles(operator: Address, who: Address, roles: Roles) -> Call {
    to(operator, function("setRoles(address,uint8)", 2).address(who).uint(U256::from(roles.bits())))
}

/// Says which provider feeds a connection point, under which account, and which gateway switches it.
#[must_use]
pub fn route(operator: Address, point: B256, provider: Address, account: u32, gateway: Address) -> Call {
    let data = function("route(bytes32,address,uint32,address)", 4).word(point).address(provider);
    to(operator, data.uint(U256::from(account)).address(gateway))
}

/// Puts a meter in, in the place of the one that stood there. `offset` is its import register less the account's, in Wh.
#[must_use]
pub fn put_meter(operator: Address, point: B256, key: Address, position: Position, offset: i64) -> Call {
    let data = function("putMeter(bytes32,address,int32,int32,int32,int64)", 6).word(point).address(key);
    let data = [position.east, position.north, position.up].into_iter().fold(data, |d, mm| d.int(i64::from(mm)));
    to(operator, data.int(offset))
}

/// Sets what the grid takes for each Wh that is taken from it, and who may claim it.
#[must_use]
pub fn set_network_fee(operator: Address, fee: Price, treasury: Address) -> Call {
    to(operator, function("setNetworkFee(uint32,address)", 2).uint(U256::from(fee.0)).address(treasury))
}

/// Orders a connection point cut off, or supplied again.
#[must_use]
pub fn order(operator: Address, point: B256, cut_off: bool) -> Call {
    to(operator, function("order(bytes32,bool)", 2).word(point).flag(cut_off))
}

/// Says which position of a switch the sender, its gateway, read back.
#[must_use]
pub fn attest(operator: Address, point: B256, closed: bool) -> Call {
    to(operator, function("attest(bytes32,bool)", 2).word(point).flag(closed))
}

/// The same for up to 256 connection points, or none.
#[must_use]
pub fn attest_many(operator: Address, positions: &[(B256, bool)]) -> Call {
    let set =
        |bits: U256, (i, (_, closed)): (usize, &(B256, bool))| if *closed { bits | (U256::ONE << i) } else { bits };
    let closed = positions.iter().enumerate().fold(U256::ZERO, set);
    let data = function("attestMany(bytes32[],uint256)", 2).words(positions.iter().map(|(point, _)| *point));
    to(operator, data.uint(closed))
}
