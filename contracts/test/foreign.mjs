// A foreign client: ethers, which shares no code with the gateway, pays into an account on whatever chain answers at
// the URL, and reads the payment back. Prints one line of JSON.
//   node test/foreign.mjs URL PROVIDER_ADDRESS KEYFILE NUMBER UNITS
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Contract, JsonRpcProvider, Wallet } from 'ethers';

const [url, address, keyFile, number, units] = process.argv.slice(2);
if (units === undefined) {
  console.error('usage: node test/foreign.mjs URL PROVIDER_ADDRESS KEYFILE NUMBER UNITS');
  process.exit(64);
}
const artifact = fileURLToPath(new URL('../artifacts/Provider.json', import.meta.url));
const { abi } = JSON.parse(readFileSync(artifact, 'utf8'));

// Without a cache: a chain that mines at once has a new nonce sooner than ethers' cache would forget the old one.
const rpc = new JsonRpcProvider(url, undefined, { cacheTimeout: -1, pollingInterval: 100 });
try {
  const wallet = new Wallet(readFileSync(keyFile, 'utf8').trim(), rpc);
  const provider = new Contract(address, abi, wallet);
  const { chainId } = await rpc.getNetwork();
  const before = await provider.account(number);
  const sent = await provider.deposit(number, { value: BigInt(units) * (await provider.weiPerUnit()) });
  const receipt = await sent.wait(1, 30_000);
  const logs = await provider.queryFilter(provider.filters.Deposited(number, wallet.address), receipt.blockNumber, receipt.blockNumber);
  const found = logs.find((log) => log.transactionHash === sent.hash);
  const after = await provider.account(number);
  const text = (value) => String(value);
  console.log(JSON.stringify({
    chainId: text(chainId), payer: wallet.address, number: Number(number), transaction: sent.hash, block: receipt.blockNumber,
    status: receipt.status, gasUsed: text(receipt.gasUsed), deposited: found ? text(found.args.units) : null,
    before: { balance: text(before.balance), flags: Number(before.flags) }, after: { balance: text(after.balance), flags: Number(after.flags) },
  }));
  process.exitCode = receipt.status === 1 && found?.args.units === BigInt(units) ? 0 : 1;
} catch (e) {
  console.error(e.shortMessage ?? e.message ?? e);
  process.exitCode = 1;
} finally {
  rpc.destroy();
}
