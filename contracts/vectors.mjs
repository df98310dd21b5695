// Writes vectors/*.json with ethers, an implementation that shares nothing with the Rust one: what both produce from
// the same values has to be the same to the byte. Without arguments the files are written, with `--check` compared.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { AbiCoder, Interface, Transaction, TypedDataEncoder, Wallet, ZeroHash, concat, encodeBytes32String, getAddress, keccak256, solidityPacked, toBeHex, toUtf8Bytes } from 'ethers';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const artifact = (name) => JSON.parse(readFileSync(here(`artifacts/${name}.json`), 'utf8'));
const ABIS = Object.fromEntries(['Provider', 'Operator', 'Dispatch', 'Witness', 'TimeOfUse', 'LocationVerifier'].map((name) => [name, artifact(name).abi]));

/** Values that look random and are the same on every run. */
const draw = (label) => keccak256(toUtf8Bytes(label));
const address = (label) => '0x' + draw(label).slice(26);

function transactions() {
  const to = address('callee');
  const top = (bits) => 2n ** BigInt(bits) - 1n;
  const cases = [
    { name: 'a plain transfer', to, value: 10n ** 18n },
    { name: 'a deployment', to: null, data: '0x6001600c60003960016000f300' },
    { name: 'nothing at all', to, value: 0n, nonce: 0, maxFee: 0n, maxPriority: 0n, gasLimit: 0n },
    { name: 'one byte below 128', to, data: '0x7f', nonce: 127, gasLimit: 127n },
    { name: 'one byte from 128', to, data: '0x80', nonce: 128, gasLimit: 128n },
    { name: 'one zero byte', to, data: '0x00' },
    { name: '55 bytes of data', to, data: '0x' + 'ab'.repeat(55) },
    { name: '56 bytes of data', to, data: '0x' + 'cd'.repeat(56) },
    { name: 'ten thousand bytes of data', to, data: '0x' + '00ff10'.repeat(3333) + '07' },
    { name: 'all values high', to: '0x' + 'ff'.repeat(20), value: top(256), nonce: Number.MAX_SAFE_INTEGER, maxFee: top(128), maxPriority: top(128), gasLimit: top(64), chainId: top(53) },
    { name: 'chain id 1', to, chainId: 1n, nonce: 1 },
  ];
  for (let i = 0; i < 20; i++) {
    const n = BigInt(draw(`numbers ${i}`));
    cases.push({ name: `drawn ${i}`, to: address(`to ${i}`), value: n >> 190n, nonce: Number(n & 0xffffn), maxFee: (n >> 16n) & top(40), maxPriority: (n >> 56n) & top(30), gasLimit: (n >> 90n) & top(24), chainId: (n >> 120n) & top(31), data: draw(`data ${i}`).slice(0, 2 + 2 * i) });
  }
  return cases.map((c, i) => {
    const t = { chainId: 31337n, nonce: 7, maxFee: 3n * 10n ** 9n, maxPriority: 1n, gasLimit: 21000n, value: 0n, data: '0x', ...c };
    const wallet = new Wallet(draw(`key ${i}`));
    const tx = Transaction.from({ type: 2, chainId: t.chainId, nonce: t.nonce, maxFeePerGas: t.maxFee, maxPriorityFeePerGas: t.maxPriority, gasLimit: t.gasLimit, to: t.to, value: t.value, data: t.data });
    tx.signature = wallet.signingKey.sign(tx.unsignedHash);
    return {
      name: t.name, key: wallet.privateKey, address: wallet.address.toLowerCase(), chainId: String(t.chainId), nonce: String(t.nonce),
      maxFee: String(t.maxFee), maxPriority: String(t.maxPriority), gasLimit: String(t.gasLimit), to: t.to, value: String(t.value), data: t.data,
      digest: tx.unsignedHash, yParity: tx.signature.yParity, raw: tx.serialized, hash: tx.hash,
    };
  });
}

const MAX40 = 2n ** 40n - 1n;
const ITEMS = [
  { number: 1, offPeak: 0n, peak: 0n, feedIn: 0n, charge: 0n },
  { number: 2, offPeak: 1n, peak: 2n, feedIn: 3n, charge: -1n },
  { number: 65536, offPeak: 0x0102030405n, peak: 0x060708090an, feedIn: 0x0b0c0d0e0fn, charge: 0x1011121314151617n },
  { number: 65537, offPeak: 0n, peak: MAX40, feedIn: 0n, charge: -(2n ** 63n) },
  { number: 4294967295, offPeak: MAX40, peak: MAX40, feedIn: MAX40, charge: 2n ** 63n - 1n },
];
const packItem = (i) => solidityPacked(['uint32', 'uint40', 'uint40', 'uint40', 'int64'], [i.number, i.offPeak, i.peak, i.feedIn, i.charge]);
const text = (value) => {
  if (Array.isArray(value)) return value.map(text);
  return typeof value === 'bigint' || typeof value === 'number' ? String(value) : value;
};

/** What ethers makes of calls, views, events and errors of a contract. */
function encode(abi, { calls, views, events, errors }) {
  return {
    calls: calls.map(([name, args]) => ({ name, args: text(args), data: abi.encodeFunctionData(name, args) })),
    views: views.map(([name, args, values]) => ({ name, args: text(args), data: abi.encodeFunctionData(name, args), result: abi.encodeFunctionResult(name, values), values: text(values) })),
    events: events.map(([name, args]) => ({ name, args: text(args), ...abi.encodeEventLog(name, args) })),
    errors: errors.map(([name, args, reason]) => ({ reason, data: abi.encodeErrorResult(name, args) })),
  };
}

const READING = [1_800_000_000n, 2n ** 40n, 2n ** 63n - 1n];
const SIGNATURE = concat([draw('r'), draw('s'), '0x1b']);

function provider() {
  const abi = new Interface(ABIS.Provider);
  const who = address('somebody');
  const name = encodeBytes32String('flat-7');
  const packed = concat(ITEMS.map(packItem));
  const deployArgs = [10n ** 9n, 300000n, 400000n, 4294967295n, 5000000000n];
  const terms = [address('token'), address('registry'), 604800, 86400, 60, 4294967295, 3600, 17];
  const calls = [
    ['open', [7, name]],
    ['openMany', [[1, 2, 4294967295], [name, draw('name 2'), draw('name 3')]]],
    ['deposit', [4294967295]],
    ['settle', [1, 1, ZeroHash, packItem(ITEMS[1])]],
    ['settle', [2n ** 64n - 1n, 4294967295, draw('lines'), packed]],
    ['setTariff', [1, 2, 4294967295]],
    ['setLowAt', [2n ** 63n - 1n]],
    ['setSettler', [who, true]],
    ['setSettler', [who, false]],
    ['withdraw', [who, 2n ** 63n - 1n]],
    ['transferOwnership', [who]],
    ['acceptOwnership', []],
    ['depositToken', [7, 2n ** 63n - 1n]],
    ['pauseDeposits', [true]],
    ['record', [2n ** 64n - 1n, 3, draw('root'), '0x00010280010381808080808080808001ffffffffffffffffff010005']],
    ['setMember', [who, 2n ** 64n - 1n, 4294967295]],
    ['setMember', [who, 0n, 0]],
    ['offerSupply', [2n ** 64n - 1n]],
    ['shareOut', []],
    ['claim', [who]],
    ['setHolder', [7, who]],
    ['setHolders', [[7, 4294967295], [who, address('to')]]],
    ['close', [7]],
    ['reopen', [7]],
    ['refund', [4294967295]],
    ['contest', [7]],
    ['overturn', [7, READING, SIGNATURE]],
  ];
  const account = [-5n, 1n, 2n, MAX40, 7];
  const views = [
    ['account', [7], account],
    ['account', [8], [2n ** 63n - 1n, 0n, 0n, 0n, 1]],
    ['account', [9], [-(2n ** 63n), 0n, 0n, 0n, 7]],
    ['accounts', [[7, 8]], [[account, [4n, 5n, 6n, 7n, 1]]]],
    ['nextSequence', [who], [42n]],
    ['isSettler', [who], [true]],
    ['tariff', [], [1, 2, 3, 9]],
    ['totals', [], [100n, 10n, -30n, 130n, 1n, 2n, 3n]],
    ['available', [], [77n]],
    ['lowAt', [], [5000000000n]],
    ['weiPerUnit', [], [2n ** 128n - 1n]],
    ['owner', [], [who]],
    ['pendingOwner', [], [who]],
    ['nameOf', [7], [name]],
    ['numberOf', [name], [7]],
    ['OPEN', [], [1]],
    ['LOW', [], [2]],
    ['EXHAUSTED', [], [4]],
    ['CLOSED', [], [8]],
    ['MAX_EXIT_DELAY', [], [7776000]],
    ['MAX_MEMBERS', [], [64n]],
    ['CLOCK_TOLERANCE', [], [900n]],
    ['depositsPaused', [], [true]],
    ['nextRecord', [who], [43n]],
    ['terms', [], [terms]],
    ['phaseNow', [], [7, 2, 1_800_000_000n]],
    ['members', [], [[who, address('to')]]],
    ['memberOf', [who], [5n, 7, MAX40, 1]],
    ['claimable', [who], [2n ** 63n - 1n]],
    ['holderOf', [7], [who, 1_800_000_000n]],
    ['contestOf', [7], [2n ** 40n, 1_800_000_000n]],
  ];
  const events = [
    ['OwnershipOffered', [who, address('to')]],
    ['OwnershipTaken', [who, address('to')]],
    ['SettlerSet', [who, true]],
    ['TariffSet', [3, 1, 2, 4294967295]],
    ['LowAtSet', [17n]],
    ['Opened', [7, name]],
    ['Deposited', [4294967295, who, 2n ** 63n - 1n]],
    ['Settled', [who, 2n ** 64n - 1n, 500, 1n, 2n, 3n, 2n ** 70n, 5n, -(2n ** 63n), draw('items'), draw('lines')]],
    ['Settled', [who, 1n, 1, 0n, 0n, 0n, 0n, 0n, 2n ** 63n - 1n, draw('items'), ZeroHash]],
    ['CreditLow', [7, 99n]],
    ['CreditExhausted', [7, -1n]],
    ['CreditRestored', [7, 1n]],
    ['Withdrawn', [who, 12n]],
    ['DepositsPaused', [true]],
    ['Recorded', [who, 2n ** 64n - 1n, 2000, draw('steps'), draw('root')]],
    ['MemberSet', [who, 5n, 7]],
    ['SupplyOffered', [3, who, 12n]],
    ['Allotted', [who, 5n]],
    ['Claimed', [who, address('to'), 2n ** 63n - 1n]],
    ['HolderSet', [7, who]],
    ['AccountClosing', [7, 1_800_000_000n]],
    ['Reopened', [7]],
    ['Refunded', [7, who, 2n ** 63n - 1n]],
    ['Contested', [7, 2n ** 40n]],
    ['Overturned', [7, 2n ** 40n, 5n]],
  ];
  const errors = [
    ['WrongSequence', [3n, 2n], 'WrongSequence(3, 2)'],
    ['RegisterStepsBack', [7n], 'RegisterStepsBack(7)'],
    ['BalanceOutOfRange', [2n ** 40n], 'BalanceOutOfRange(1099511627776)'],
    ['NotOwner', [], 'NotOwner()'],
    ['NameTaken', [name], `NameTaken(${name})`],
  ];
  const plain = new Interface(['error Error(string)', 'error Panic(uint256)']);
  const values = [...deployArgs, ...terms];
  const types = ['uint256', 'uint32', 'uint32', 'uint32', 'uint64', 'address', 'address', ...Array(6).fill('uint32')];
  const made = encode(abi, { calls, views, events, errors });
  return {
    deploy: { args: text(values), data: concat([artifact('Provider').bytecode, AbiCoder.defaultAbiCoder().encode(types, values)]) },
    items: ITEMS.map((i) => ({ number: i.number, offPeak: String(i.offPeak), peak: String(i.peak), feedIn: String(i.feedIn), charge: String(i.charge), packed: packItem(i) })),
    packed,
    ...made,
    errors: [
      ...made.errors,
      { reason: 'out of luck', data: plain.encodeErrorResult('Error', ['out of luck']) },
      { reason: 'Panic(0x11): arithmetic overflow', data: plain.encodeErrorResult('Panic', [0x11]) },
      { reason: 'no reason given', data: '0x' },
      { reason: '0xdeadbeef', data: '0xdeadbeef' },
    ],
  };
}

function operator() {
  const abi = new Interface(ABIS.Operator);
  const [who, provider, point, fee] = [address('somebody'), address('provider'), draw('point'), 4294967295];
  const calls = [
    ['setRoles', [who, 3]],
    ['setRoles', [who, 2]],
    ['route', [point, provider, 4294967295, who]],
    ['putMeter', [point, who, -1, 2147483647, -2147483648, -(2n ** 63n)]],
    ['setNetworkFee', [fee, who]],
    ['order', [point, true]],
    ['attest', [point, false]],
    ['attestMany', [[point, draw('point 2'), draw('point 3')], 5n]],
    ['transferOwnership', [who]],
    ['acceptOwnership', []],
  ];
  const views = [
    ['rolesOf', [who], [1]],
    ['isGateway', [who], [true]],
    ['isProver', [who], [false]],
    ['pointOf', [point], [who, 7, 1_800_000_000, true, false]],
    ['providerOf', [point], [provider]],
    ['meterKeyOf', [point], [who]],
    ['meterOf', [provider, 7], [who]],
    ['meterAt', [who], [true, point, -1, 2147483647, -2147483648]],
    ['importedBy', [provider, 7, READING, SIGNATURE], [2n ** 40n]],
    ['networkFee', [], [fee, who]],
    ['mayOrder', [who, point], [true]],
    ['readingHash', [READING], [draw('hash')]],
    ['owner', [], [who]],
    ['pendingOwner', [], [who]],
    ['GATEWAY', [], [1]],
    ['PROVER', [], [2]],
  ];
  const events = [
    ['OwnershipOffered', [who, provider]],
    ['OwnershipTaken', [who, provider]],
    ['RolesSet', [who, 3]],
    ['Routed', [point, provider, 7, who]],
    ['MeterPut', [point, who, -5n]],
    ['MeterTaken', [point, who]],
    ['Ordered', [point, who, provider, true]],
    ['Attested', [point, who, false]],
    ['NetworkFeeSet', [fee, who]],
  ];
  const errors = [
    ['MayNotOrder', [point], `MayNotOrder(${point})`],
    ['BadSignature', [], 'BadSignature()'],
    ['ReadingInFuture', [1_800_000_000n], 'ReadingInFuture(1800000000)'],
  ];
  const key = new Wallet(draw('meter'));
  const registry = address('registry');
  const types = { Reading: [{ name: 'time', type: 'uint64' }, { name: 'imported', type: 'uint64' }, { name: 'exported', type: 'uint64' }] };
  const reading = { time: READING[0], imported: READING[1], exported: READING[2] };
  const domain = { name: 'Microgrid meter', version: '1', chainId: 31337, verifyingContract: registry };
  const digest = TypedDataEncoder.hash(domain, types, reading);
  return {
    reading: { key: key.privateKey, chainId: '31337', registry, args: text(READING), digest, signature: key.signingKey.sign(digest).serialized },
    ...encode(abi, { calls, views, events, errors }),
  };
}

function dispatch() {
  const abi = new Interface(ABIS.Dispatch);
  const [who, hash, salt] = [address('somebody'), draw('hash'), draw('salt')];
  const [network, conditions, solution] = ['0x' + 'ab'.repeat(96), '0x' + 'cd'.repeat(60), '0x' + 'ef'.repeat(51)];
  const calls = [
    ['publish', [network, 50000]],
    ['open', [1, conditions, 1_800_000_100n, 1_800_000_200n, 900, 1000n]],
    ['commit', [7, hash]],
    ['reveal', [7, salt, conditions, solution]],
    ['close', [7]],
    ['reclaim', [7]],
    ['collect', []],
    ['solve', [4294967295, conditions]],
    ['report', [7, salt, solution, '0x00000003e801ffffffffff00']],
    ['transferOwnership', [who]],
    ['acceptOwnership', []],
  ];
  const round = [hash, -(2n ** 127n), 2n ** 127n - 1n, who, 1, 900, 1_800_000_100n, 1_800_000_200n, 4, 2, 3, 2, 1000n, who, 5000n, salt];
  const views = [
    ['commitment', [7, who, salt, solution], [keccak256(AbiCoder.defaultAbiCoder().encode(['uint32', 'address', 'bytes32', 'bytes32'], [7, who, salt, keccak256(solution)]))]],
    ['check', [1, conditions, solution], [2n ** 126n, -(2n ** 126n)]],
    ['optimum', [1, conditions], [[1n, 2n, 3n], [-4n, 5n, 6n], [7n, -8n, 9n], 10n]],
    ['roundOf', [7], [round]],
    ['networkOf', [1], [network]],
    ['networks', [], [3]],
    ['rounds', [], [7]],
    ['owing', [who], [6000n]],
    ['owner', [], [who]],
    ['pendingOwner', [], [who]],
  ];
  const events = [
    ['OwnershipOffered', [who, address('to')]],
    ['OwnershipTaken', [who, address('to')]],
    ['Published', [1, hash, who]],
    ['Opened', [7, 1, conditions]],
    ['Committed', [7, who, 2]],
    ['Revealed', [7, who, 2n ** 100n, -5n]],
    ['Dispatched', [7, who, 2n ** 100n, 2n ** 99n, true]],
    ['Solved', [7, [1n, 2n, 3n], [-4n, 5n, 6n], 10n]],
    ['Complied', [7, 2, 100n, 110n, 100n, false]],
    ['Collected', [who, 6000n]],
  ];
  return encode(abi, { calls, views, events, errors: [['NotBalanced', [3n], 'NotBalanced(3)'], ['WrongStake', [1n, 2n], 'WrongStake(1, 2)']] });
}


/** What witnesses sign for, as the account book says it. */
function witnessedBatch(book, settler, linesRoot, itemsHash) {
  const args = [book, settler, 2n ** 64n - 1n, 7, linesRoot, itemsHash];
  return { args: text(args), digest: keccak256(AbiCoder.defaultAbiCoder().encode(['address', 'address', 'uint64', 'uint32', 'bytes32', 'bytes32'], args)) };
}

function witness() {
  const abi = new Interface(ABIS.Witness);
  const contract = address('witness contract');
  const set = [address('member 1'), address('member 2'), address('member 3')];
  const [digest, other] = [draw('digest'), draw('other')];
  const rules = [3, 4294967295n, 65535, 255, '0x010203'];
  const top = 2n ** 64n - 1n;
  const domain = { name: 'microgrid witness', chainId: 31337n, verifyingContract: contract };
  const types = { Finding: [{ name: 'draw', type: 'uint64' }, { name: 'digest', type: 'bytes32' }] };
  const findings = [[1n, digest], [top, other]].map(([number, found]) => {
    const wallet = new Wallet(draw(`witness ${number}`));
    const hash = TypedDataEncoder.hash(domain, types, { draw: number, digest: found });
    return { chainId: '31337', contract, draw: String(number), digest: found, hash, key: wallet.privateKey, signature: wallet.signingKey.sign(hash).serialized };
  });
  const vote = (place, f) => concat([toBeHex(place, 1), f.signature]);
  const calls = [
    ['transferOwnership', [set[0]]],
    ['acceptOwnership', []],
    ['setRules', rules],
    ['admit', [set[0]]],
    ['remove', [set[1]]],
    ['clear', [set[2]]],
    ['open', [digest]],
    ['confirm', [set[1], concat([vote(0, findings[0]), vote(254, findings[1])])]],
    ['refuse', [set[1], concat([vote(0, findings[0]), vote(254, findings[1])])]],
    ['report', [7n, top, digest, set, 2, other, findings[1].signature]],
  ];
  const views = [
    ['drawn', [set[1]], [set]],
    ['members', [], [[]]],
    ['members', [], [set]],
    ['state', [set[2]], [5n, top, true, digest]],
    ['accepted', [set[2]], [digest]],
    ['findings', [], [top]],
    ['refusalOf', [digest], [keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'bytes32'], [keccak256(toUtf8Bytes('refused')), digest]))]],
    ['standing', [set[0]], [true, false, 65535, top]],
    ['rules', [], rules],
    ['recordOf', [9n], [digest]],
    ['owner', [], [set[0]]],
    ['pendingOwner', [], [set[1]]],
    ['findingHash', [findings[0].draw, digest], [findings[0].hash]],
  ];
  const events = [
    ['OwnershipOffered', [set[0], set[1]]],
    ['OwnershipTaken', [set[0], set[1]]],
    ['Admitted', [set[0]]],
    ['Removed', [set[0]]],
    ['Cleared', [set[0]]],
    ['Flagged', [set[1], top, 65535]],
    ['RulesSet', rules],
    ['Opened', [1n, set[0], digest]],
    ['Confirmed', [top, digest, 8n, set, 3]],
    ['Confirmed', [1n, other, 1n, [set[2]], 1]],
    ['Refused', [top, other, 9n, set, 2]],
    ['Dissented', [3n, set[1], other]],
  ];
  const errors = [
    ['TooFew', [5n, 4n], 'TooFew(5, 4)'],
    ['NotMember', [set[0]], `NotMember(${getAddress(set[0])})`],
    ['Lapsed', [3n], 'Lapsed(3)'],
  ];
  return {
    deploy: { args: text(rules), data: concat([artifact('Witness').bytecode, AbiCoder.defaultAbiCoder().encode(['uint8', 'uint32', 'uint16', 'uint8', 'bytes'], rules)]) },
    findings,
    batch: witnessedBatch(contract, set[1], digest, other),
    record: { draw: '8', digest, set, hash: keccak256(AbiCoder.defaultAbiCoder().encode(['uint64', 'bytes32', 'address[]'], [8n, digest, set])) },
    calls: calls.map(([name, args]) => ({ name, args: text(args), data: abi.encodeFunctionData(name, args) })),
    views: views.map(([name, args, values]) => ({ name, args: text(args), data: abi.encodeFunctionData(name, args), result: abi.encodeFunctionResult(name, values), values: text(values) })),
    events: events.map(([name, args]) => ({ name, args: text(args), ...abi.encodeEventLog(name, args) })),
    errors: errors.map(([name, args, reason]) => ({ reason, data: abi.encodeErrorResult(name, args) })),
  };
}

/** Proofs of location; the judge's numbers are in vectors/judge.json, which Rust writes. */
function location() {
  const abi = new Interface(ABIS.LocationVerifier);
  const [contract, who, meter] = [address('verifier'), address('somebody'), address('meter')];
  const [hash, salt] = [draw('hash'), draw('salt')];
  const top = 2n ** 64n - 1n;
  const wallet = new Wallet(draw('meter that asks'));
  const types = { LocationRequest: [{ name: 'number', type: 'uint64' }, { name: 'requester', type: 'address' }] };
  const asked = TypedDataEncoder.hash({ name: 'microgrid location', chainId: 31337n, verifyingContract: contract }, types, { number: top, requester: who });
  const ask = { chainId: '31337', contract, number: String(top), requester: who, hash: asked, key: wallet.privateKey, signature: wallet.signingKey.sign(asked).serialized };
  const committed = [31337n, contract, top, who, 2n ** 256n - 2n, salt];
  const commitment = { args: text(committed), hash: keccak256(AbiCoder.defaultAbiCoder().encode(['uint256', 'address', 'uint64', 'address', 'uint256', 'bytes32'], committed)) };
  const terms = [address('registry'), address('sink'), 9, 2n ** 96n - 1n, 5n, 60000, 600, 300, 120, 180, 4294967295n, 18000, Array.from({ length: 13 }, (_, i) => 1000 * (i + 1))];
  const request = [who, 1_800_000_100n, 2, 12, 9, 8, 7, meter, 1_800_000_200n, 1_800_000_300n, -(2 ** 31), 2 ** 31 - 1, top, 4095n, 511n, 4n, 2, draw('seed'), hash];
  const calls = [
    ['setAnchor', [who, true, -2147483648, 2147483647]],
    ['setAnchor', [who, false, 0, 0]],
    ['request', [meter, ask.signature]],
    ['pledge', [top, hash]],
    ['applyFor', [1n, hash]],
    ['disclose', [2n, 2n ** 255n + 1n]],
    ['reveal', [3n, 63, 7n]],
    ['pin', [4n]],
    ['draw', [5n]],
    ['measure', [6n, 1, hash]],
    ['open', [7n, 2, 1048576, salt]],
    ['conclude', [8n]],
    ['reclaim', [9n, 3]],
    ['collect', []],
    ['transferOwnership', [who]],
    ['acceptOwnership', []],
  ];
  const views = [
    ['requestOf', [top], [request]],
    ['applicantOf', [1n, 2], [[who, -1048576, 1048576, 16777215, 3, hash]]],
    ['anchorOf', [who], [[-5, 6, true, 7n]]],
    ['standingOf', [meter], [1, 1_800_000_000n, 3n]],
    ['requests', [], [9n]],
    ['asked', [meter], [top]],
    ['owing', [who], [2n ** 200n]],
    ['terms', [], [terms]],
    ['judge', [[-1, 2, 3, 4, -5, 6, 7, 8, 2147483647]], [2, -1048576n, 1048576n, 32767n, top, 5n]],
    ['askHash', [ask.number, who], [asked]],
    ['commitment', [top, who, 1n, salt], [hash]],
    ['owner', [], [who]],
    ['pendingOwner', [], [who]],
    ['OPEN', [], [1]],
    ['DRAWN', [], [2]],
    ['DONE', [], [3]],
    ['VOID', [], [4]],
  ];
  const events = [
    ['OwnershipOffered', [who, contract]],
    ['OwnershipTaken', [who, contract]],
    ['AnchorSet', [who, true, -1, 2]],
    ['Requested', [top, meter, who, 1_800_000_100n]],
    ['Pledged', [1n, hash]],
    ['Applied', [2n, who, 63]],
    ['Revealed', [3n, who]],
    ['Pinned', [4n, 9n]],
    ['Voided', [5n]],
    ['Drawn', [6n, hash, top, 1_800_000_300n]],
    ['Measured', [7n, who]],
    ['Opened', [8n, who, 16777215]],
    ['Located', [9n, meter, 2, -2147483648, 2147483647, top, top, 1n]],
    ['Collected', [who, 10n]],
  ];
  const errors = [
    ['WrongStake', [2n, 1n], 'WrongStake(2, 1)'],
    ['NotProver', [who], `NotProver(${getAddress(who)})`],
    ['Lapsed', [3n], 'Lapsed(3)'],
    ['NotChosen', [], 'NotChosen()'],
  ];
  const tuple = '(address,address,uint8,uint96,uint96,uint32,uint32,uint32,uint32,uint32,uint32,uint32,uint32[13])';
  return {
    deploy: { args: text(terms), data: concat([artifact('LocationVerifier').bytecode, AbiCoder.defaultAbiCoder().encode([tuple], [terms])]) },
    ask, commitment,
    beacon: { secret: hash, seed: salt, code: keccak256(concat([hash, salt])).slice(0, 34) },
    ...encode(abi, { calls, views, events, errors }),
  };
}

/** The tree over hashed leaves, from the top: the left part is the largest power of two below the number of leaves. */
function top(leaves) {
  if (leaves.length === 1) return leaves[0];
  const left = 2 ** Math.floor(Math.log2(leaves.length - 1));
  return keccak256(concat(['0x01', top(leaves.slice(0, left)), top(leaves.slice(left))]));
}

/** What stands beside leaf `index` on its way up, from the bottom. */
function beside(leaves, index) {
  if (leaves.length === 1) return [];
  const left = 2 ** Math.floor(Math.log2(leaves.length - 1));
  if (index < left) return [...beside(leaves.slice(0, left), index), top(leaves.slice(left))];
  return [...beside(leaves.slice(left), index - left), top(leaves.slice(0, left))];
}

function merkle() {
  const line = (label, i) => draw(`${label} ${i}`).repeat(2).replaceAll('0x', '').slice(0, 2 * ((i * 13) % 65));
  return [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 33].map((count) => {
    const lines = Array.from({ length: count }, (_, i) => '0x' + line(`line of ${count}`, i));
    const leaves = lines.map((l) => keccak256(concat(['0x00', l])));
    const root = count === 0 ? ZeroHash : keccak256(concat(['0x02', toBeHex(count, 8), top(leaves)]));
    return { lines, leaves, root, proofs: leaves.map((_, index) => ({ index, leaves: count, path: beside(leaves, index) })) };
  });
}

const packValues = (values) => '0x' + values.map((v) => (v >>> 0).toString(16).padStart(8, '0')).join('');

/** Exact k-means by trying all borders, as fractions of big integers: the rules at the head of TimeOfUse.sol. */
function kmeans(values, wanted) {
  const sorted = [...values].sort((a, b) => a - b).map(BigInt);
  const k = Math.min(wanted, new Set(values).size);
  const sum = (from, to) => sorted.slice(from, to).reduce((a, b) => a + b, 0n);
  const n = sorted.length;
  let best = null;
  // The highest border varies slowest, and each from below: the first of equals is kept.
  const seconds = k === 3 ? Array.from({ length: n - 2 }, (_, i) => i + 2) : [n];
  for (const third of seconds) {
    const firsts = k === 1 ? [n] : Array.from({ length: third - 1 }, (_, i) => i + 1);
    for (const second of firsts) {
      const cuts = [0, ...new Set([second, third, n])];
      let [top, bottom] = [0n, 1n];
      for (let c = 0; c + 1 < cuts.length; c++) {
        const [s, count] = [sum(cuts[c], cuts[c + 1]), BigInt(cuts[c + 1] - cuts[c])];
        [top, bottom] = [top * count + s * s * bottom, bottom * count];
      }
      if (best === null || top * best.bottom > best.top * bottom) best = { top, bottom, cuts };
    }
  }
  const floor = (a, b) => (a >= 0n ? a / b : -((-a + b - 1n) / b));
  const parts = best.cuts.slice(1).map((to, c) => [best.cuts[c], to]);
  const centroids = parts.map(([from, to]) => Number(floor(2n * sum(from, to) + BigInt(to - from), 2n * BigInt(to - from))));
  const borders = parts.slice(1).map(([from]) => sorted[from]);
  const labels = values.map((v) => borders.filter((b) => BigInt(v) >= b).length);
  return { labels, centroids };
}

/** A day of a street, and days that are at the edge of something. */
function days() {
  const low = -(2 ** 31);
  const number = (label) => Number(BigInt(draw(label)) & 0xffffffn);
  const street = (n, seed) => Array.from({ length: n }, (_, i) => {
    const hour = (i * 24) / n;
    return Math.round(3000 - 1500 * Math.cos(((hour - 3) * Math.PI) / 12) + 4000 * Math.exp(-((hour - 19) ** 2) / 6)) + (number(`day ${seed} ${i}`) % 700);
  });
  const cases = [];
  for (const n of [24, 48, 96]) for (const k of [1, 2, 3]) for (const seed of [0, 1]) cases.push({ name: `a day of ${n}`, k, values: street(n, seed) });
  for (const k of [1, 2, 3]) {
    cases.push({ name: 'flat', k, values: Array(24).fill(700) });
    cases.push({ name: 'two levels', k, values: [5, 5, 9, 9, 5] });
    cases.push({ name: 'fed in at noon', k, values: street(24, 2).map((v) => v - 6000) });
    cases.push({ name: 'as low as can be', k, values: Array(96).fill(low) });
    cases.push({ name: 'the extremes', k, values: Array.from({ length: 96 }, (_, i) => [low, 0, 2 ** 31 - 1][i % 3]) });
    cases.push({ name: 'ties', k, values: [3, 1, 0, 2] });
    cases.push({ name: 'more ties', k, values: Array.from({ length: 30 }, (_, i) => (i * 7) % 30) });
    cases.push({ name: 'as few as can be', k, values: [-1, -2, 4].slice(0, k) });
    for (let i = 0; i < 6; i++) cases.push({ name: `drawn ${i}`, k, values: Array.from({ length: 3 + (number(`length ${i}`) % 94) }, (_, j) => (number(`value ${i} ${j}`) % (i < 3 ? 40 : 90000)) - (i % 2) * 20000) });
  }
  return cases;
}

function tou() {
  const abi = new Interface(ABIS.TimeOfUse);
  const who = address('somebody');
  const word = (labels) => labels.reduceRight((w, l) => (w << 2n) | BigInt(l), 0n);
  const centroidWord = (centroids) => centroids.reduceRight((w, c) => (w << 32n) | BigInt(c >>> 0), 0n);
  const values = [120, -5, 900, 880, 130, 0];
  const found = kmeans(values, 2);
  const [labels, centroids, packed] = [word(found.labels), centroidWord(found.centroids), packValues(values)];
  const [forecast, model] = [keccak256(packed), draw('model')];
  const posted = [labels, 7, 29500000, centroids, 29000000, 29490000, 5, 2, 6, 2, 240, forecast, model];
  const post = [7, 29500000, 240, 29000000, 29490000, 2, model, labels, packed];
  const calls = [
    ['transferOwnership', [who]],
    ['acceptOwnership', []],
    ['setGateway', [who, true]],
    ['setGateway', [who, false]],
    ['post', post],
    ['attest', [7, forecast, model]],
  ];
  const views = [
    ['kmeans', [2, packed], [labels, centroids, 2]],
    ['rangeAt', [29500001], [1, 7]],
    ['day', [7], [posted, true, false]],
    ['gateways', [], [3]],
    ['seatOf', [who], [2]],
    ['notice', [], [60]],
    ['owner', [], [who]],
    ['pendingOwner', [], [address('to')]],
  ];
  const events = [
    ['OwnershipOffered', [who, address('to')]],
    ['OwnershipTaken', [who, address('to')]],
    ['Seated', [who, 2, true]],
    ['Posted', [7, who, 29500000, labels, centroids, 29000000, 29490000, forecast, model]],
    ['Agreed', [7, who]],
    ['Disputed', [7, who, draw('forecast'), model]],
  ];
  const errors = [
    ['WrongRanges', [labels, 1n], `WrongRanges(${labels}, 1)`],
    ['BadValues', [5], 'BadValues(5)'],
    ['NotGateway', [], 'NotGateway()'],
  ];
  return {
    deploy: { notice: 60, data: concat([artifact('TimeOfUse').bytecode, AbiCoder.defaultAbiCoder().encode(['uint32'], [60])]) },
    values, labels: found.labels, centroids: found.centroids,
    calls: calls.map(([name, args]) => ({ name, args: text(args), data: abi.encodeFunctionData(name, args) })),
    views: views.map(([name, args, values]) => ({ name, args: text(args), data: abi.encodeFunctionData(name, args), result: abi.encodeFunctionResult(name, values), values: text(values) })),
    events: events.map(([name, args]) => ({ name, args: text(args), ...abi.encodeEventLog(name, args) })),
    errors: errors.map(([name, args, reason]) => ({ reason, data: abi.encodeErrorResult(name, args) })),
    kmeans: days().map((d) => ({ ...d, ...kmeans(d.values, d.k) })),
  };
}

export function files() {
  const write = (value) => JSON.stringify(value, null, 1) + '\n';
  return { 'vectors/transactions.json': write(transactions()), 'vectors/provider.json': write(provider()), 'vectors/operator.json': write(operator()), 'vectors/dispatch.json': write(dispatch()), 'vectors/witness.json': write(witness()), 'vectors/location.json': write(location()), 'vectors/tou.json': JSON.stringify(tou()).replaceAll('},{', '},\n{') + '\n', 'vectors/merkle.json': write(merkle()) };
}

/** Names of ABI entries that no vector covers. */
export function uncovered() {
  return Object.entries({ Provider: provider(), Operator: operator(), Dispatch: dispatch(), Witness: witness(), TimeOfUse: tou(), LocationVerifier: location() }).flatMap(([name, made]) => {
    const covered = new Set([...made.calls, ...made.views, ...made.events].map((v) => v.name));
    return ABIS[name].filter((e) => (e.type === 'function' || e.type === 'event') && !covered.has(e.name)).map((e) => `${name}.${e.name}`);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, content] of Object.entries(files())) {
    if (!process.argv.includes('--check')) {
      writeFileSync(here(path), content);
      console.log(`${path} written`);
    } else if (readFileSync(here(path), 'utf8') !== content) {
      console.error(`${path} is not what ethers makes: run \`npm run vectors\``);
      process.exitCode = 1;
    }
  }
}
