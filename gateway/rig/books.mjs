// What the contract has of accounts, asked without any code of ours: `node books.mjs PROVIDER URL NUMBER…`, as JSON.
import { Contract, JsonRpcProvider } from "../../contracts/node_modules/ethers/lib.esm/index.js";

const [provider, url, ...numbers] = process.argv.slice(2);
const ABI = ["function account(uint32) view returns (int256 balance, uint40 offPeak, uint40 peak, uint40 feedIn, uint8 flags)"];
const contract = new Contract(provider, ABI, new JsonRpcProvider(url, undefined, { cacheTimeout: -1 }));
const books = await Promise.all(numbers.map((number) => contract.account(Number(number))));
const told = ({ balance, offPeak, peak, feedIn }) => [balance, offPeak, peak, feedIn].map(Number);
console.log(JSON.stringify(Object.fromEntries(numbers.map((number, i) => [number, told(books[i])]))));
process.exit(0);
