// Checks a receipt without any of our code: `node receipt.mjs FILE URL`. Prints what it proved, or fails.
import { readFileSync } from "node:fs";
import { AbiCoder, Contract, JsonRpcProvider, concat, getBytes, id, keccak256, toBeHex, ZeroHash } from "ethers";

const [file, url] = process.argv.slice(2);
const receipt = JSON.parse(readFileSync(file, "utf8"));
const node = new JsonRpcProvider(url, undefined, { cacheTimeout: -1 });
const SETTLED =
  "event Settled(address indexed settler, uint64 indexed sequence, uint32 count, uint256 offPeakWh, uint256 peakWh, " +
  "uint256 feedInWh, uint256 debited, uint256 credited, int256 charged, bytes32 itemsHash, bytes32 linesRoot)";
const contract = new Contract(receipt.provider, [SETTLED], node);
const KINDS = { off_peak: 0, peak: 1, daily: 2, pool_share: 3 };

/** The root that a batch's transaction left on the chain. */
async function rootOf(batch) {
  const mined = await node.getTransactionReceipt(batch.transaction);
  if (mined?.status !== 1) throw new Error(`${batch.transaction} is not on the chain`);
  for (const log of mined.logs) {
    const event = log.address.toLowerCase() === receipt.provider.toLowerCase() && contract.interface.parseLog(log);
    if (event?.name === "Settled" && Number(event.args.sequence) === batch.sequence) return event.args.linesRoot;
  }
  throw new Error(`${batch.transaction} did not settle batch ${batch.sequence}`);
}

/** The leaf of a line. */
function leafOf(line) {
  const meter = line.meter === null ? ZeroHash : id(line.meter);
  const { energy, network, demand, daily, tax } = line.debit;
  const numbers = [
    KINDS[line.kind], line.tariff, line.interval, line.from, line.to, line.import_from, line.export_from, line.import,
    line.free, line.export, energy, network, demand, daily, tax, line.credit, line.carry,
  ];
  const types = ["int256", "bytes32", "int256", "bytes32", ...numbers.map(() => "int256")];
  return keccak256(concat(["0x00", AbiCoder.defaultAbiCoder().encode(types, [1, line.salt, receipt.number, meter, ...numbers])]));
}

/** Where a proof leads from a leaf. */
function lead(leaf, { index, leaves, path }) {
  let [here, at, width, step] = [leaf, index, leaves, 0];
  for (; width > 1; at = Math.floor(at / 2), width = Math.ceil(width / 2)) {
    const beside = at ^ 1;
    if (beside >= width) continue;
    here = keccak256(concat(["0x01", ...(at & 1 ? [path[step], here] : [here, path[step]])]));
    step += 1;
  }
  if (step !== path.length) throw new Error("a proof is longer than its tree is high");
  return keccak256(concat(["0x02", getBytes(toBeHex(leaves, 8)), here]));
}

const roots = new Map();
for (const batch of receipt.batches) roots.set(batch.sequence, await rootOf(batch));
let proved = 0;
for (const line of receipt.lines.filter((line) => line.proof !== null)) {
  if (lead(leafOf(line), line.proof) !== roots.get(line.batch)) throw new Error(`a line from ${line.from} is not proved`);
  proved += 1;
}
console.log(JSON.stringify({ proved, batches: roots.size }));
