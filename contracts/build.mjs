// Compiles src/ with the pinned soljson into artifacts/, which is committed: the Rust build reads only those files.
// `--check` compiles again and fails unless the committed files are the same to the byte.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const solc = createRequire(import.meta.url)('solc');
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The contracts that are deployed; everything else in src/ is a part of them. */
export const CONTRACTS = ['Provider', 'Dispatch'];
export const SETTINGS = {
  evmVersion: 'cancun',
  viaIR: true,
  optimizer: { enabled: true, runs: 100000 },
  metadata: { bytecodeHash: 'none', appendCBOR: false },
};
/** What the chain takes at most of a contract's code (EIP-170). */
const MAX_CODE = 24576;

/** All of src/, by path. */
function sources() {
  const paths = readdirSync(here('src'), { recursive: true }).filter((p) => p.endsWith('.sol')).map((p) => `src/${p.replaceAll('\\', '/')}`).sort();
  return Object.fromEntries(paths.map((path) => [path, { content: readFileSync(here(path), 'utf8') }]));
}

/** Contract name to the text of its artefact. */
export function compile() {
  const all = sources();
  const outputSelection = { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object', 'evm.methodIdentifiers'] } };
  const output = JSON.parse(solc.compile(JSON.stringify({ language: 'Solidity', sources: all, settings: { ...SETTINGS, outputSelection } })));
  for (const e of output.errors ?? []) console.error(e.formattedMessage);
  if ((output.errors ?? []).length > 0) throw new Error('the compiler had something to say');
  const sourceSha256 = Object.fromEntries(Object.entries(all).map(([path, { content }]) => [path, createHash('sha256').update(content).digest('hex')]));
  return Object.fromEntries(CONTRACTS.map((name) => {
    const contract = output.contracts[`src/${name}.sol`][name];
    const artifact = {
      contract: name,
      source: `src/${name}.sol`,
      sourceSha256,
      compiler: solc.version(),
      settings: SETTINGS,
      abi: contract.abi,
      methods: contract.evm.methodIdentifiers,
      bytecode: '0x' + contract.evm.bytecode.object,
      deployedBytecode: '0x' + contract.evm.deployedBytecode.object,
    };
    const bytes = artifact.deployedBytecode.length / 2 - 1;
    if (bytes > MAX_CODE) throw new Error(`${name} has ${bytes} bytes of code; a chain takes ${MAX_CODE}`);
    return [name, JSON.stringify(artifact, null, 1) + '\n'];
  }));
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
