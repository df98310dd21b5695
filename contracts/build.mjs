// Compiles src/ with the pinned soljson into artifacts/, which is committed: the Rust build reads only those files.
// `--check` compiles again and fails unless the committed files are the same to the byte.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const solc = createRequire(import.meta.url)('solc');
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The contracts that are deployed, and one that is only measured beside ours; everything else in src/ is a part of them. */
const CONTRACTS = ['src/Provider.sol', 'src/WitnessedProvider.sol', 'src/Operator.sol', 'src/Dispatch.sol', 'src/Witness.sol', 'src/TimeOfUse.sol', 'src/LocationVerifier.sol', 'test/NaiveKMeans.sol'];
const nameOf = (source) => posix.basename(source, '.sol');
export const SETTINGS = {
  evmVersion: 'cancun',
  viaIR: true,
  optimizer: { enabled: true, runs: 100000 },
  metadata: { bytecodeHash: 'none', appendCBOR: false },
};
/** What the chain takes at most of a contract's code (EIP-170). */
const MAX_CODE = 24576;

/** A source and all that it imports, by path: what else is in src/ does not touch its bytecode. */
function sources(path, found = {}) {
  if (path in found) return found;
  const content = readFileSync(here(path), 'utf8');
  found[path] = { content };
  for (const [, to] of content.matchAll(/^import [^"]*"([^"]+)";/gm)) sources(posix.join(posix.dirname(path), to), found);
  return found;
}

function artefact(name, source) {
  const all = sources(source);
  const outputSelection = { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object', 'evm.methodIdentifiers'] } };
  const output = JSON.parse(solc.compile(JSON.stringify({ language: 'Solidity', sources: all, settings: { ...SETTINGS, outputSelection } })));
  for (const e of output.errors ?? []) console.error(e.formattedMessage);
  if ((output.errors ?? []).length > 0) throw new Error('the compiler had something to say');
  const contract = output.contracts[source][name];
  const made = {
    contract: name,
    source,
    sourceSha256: Object.fromEntries(Object.keys(all).sort().map((path) => [path, createHash('sha256').update(all[path].content).digest('hex')])),
    compiler: solc.version(),
    settings: SETTINGS,
    abi: contract.abi,
    methods: contract.evm.methodIdentifiers,
    bytecode: '0x' + contract.evm.bytecode.object,
    deployedBytecode: '0x' + contract.evm.deployedBytecode.object,
  };
  const bytes = made.deployedBytecode.length / 2 - 1;
  if (bytes > MAX_CODE) throw new Error(`${name} has ${bytes} bytes of code; a chain takes ${MAX_CODE}`);
  return JSON.stringify(made, null, 1) + '\n';
}

/** Contract name to the text of its artefact. */
export function compile() {
  return Object.fromEntries(CONTRACTS.map((source) => [nameOf(source), artefact(nameOf(source), source)]));
}

const path = (name) => here(`artifacts/${name}.json`);

/** Names of artefacts that are not what the sources compile to. */
export function stale() {
  return Object.entries(compile()).filter(([name, text]) => text !== readFileSync(path(name), 'utf8')).map(([name]) => name);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--check')) {
    const names = stale();
    if (names.length > 0) {
      console.error(`${names.join(', ')}: the artefact is not what src/ compiles to: run \`npm run build\``);
      process.exit(1);
    }
    console.log('the artefacts are what src/ compiles to');
  } else {
    for (const [name, text] of Object.entries(compile())) {
      writeFileSync(path(name), text);
      console.log(`artifacts/${name}.json written: ${JSON.parse(text).deployedBytecode.length / 2 - 1} bytes of code`);
    }
  }
}
