// Runs slither and solhint over src/. A finding of slither that nobody argued about in argued.json is a failure, and so is an
// argument without a finding.
//   node test/analyse.mjs [SLITHER]
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { SETTINGS } from '../build.mjs';
import { binary, installed } from './forge.mjs';

const solc = createRequire(import.meta.url)('solc');
const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, '.forge/analysis');
const slither = process.argv[2] ?? join(root, '.forge/venv/bin/slither');

/** What slither reads of a build by forge: the syntax trees, and no code, which would take minutes to make. */
function compile() {
  const files = readdirSync(join(root, 'src'), { recursive: true }).filter((f) => f.endsWith('.sol')).map((f) => `src/${f}`).sort();
  const sources = Object.fromEntries(files.map((f) => [f, { content: readFileSync(join(root, f), 'utf8') }]));
  const settings = { ...SETTINGS, outputSelection: { '*': { '': ['ast'], '*': ['abi', 'devdoc', 'userdoc'] } } };
  const input = { language: 'Solidity', sources, settings };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  for (const contract of Object.values(output.contracts).flatMap(Object.values)) {
    const code = { object: '', sourceMap: '', linkReferences: {} };
    contract.evm = { bytecode: code, deployedBytecode: code, methodIdentifiers: {} };
  }
  rmSync(out, { recursive: true, force: true });
  mkdirSync(join(out, 'build-info'), { recursive: true });
  const solcLongVersion = solc.version();
  const info = { id: 'sources', solcVersion: solcLongVersion.split('+')[0], solcLongVersion, input, output };
  writeFileSync(join(out, 'build-info/sources.json'), JSON.stringify(info));
}

/** What slither finds: the detector, and the function or variable that it is about. */
function findings() {
  const report = join(out, 'slither.json');
  const run = spawnSync(slither, ['.', '--ignore-compile', '--foundry-out-directory', out, '--json', report], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${dirname(binary)}:${process.env.PATH}` },
  });
  let said;
  try {
    said = JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    throw new Error(`slither said nothing that can be read: ${run.error ?? run.stderr}`);
  }
  if (!said.success) throw new Error(said.error);
  return (said.results.detectors ?? []).map(({ check, impact, elements: [of], description }) => {
    const within = of.type_specific_fields?.parent;
    const owner = within && within.type !== 'contract' && within.type_specific_fields?.parent ? `${within.type_specific_fields.parent.name}.` : '';
    return { check, impact, where: `${owner}${within ? `${within.name}.` : ''}${of.name}`, description: description.trim() };
  });
}

if (!installed) {
  console.error('no forge is installed for this machine, and slither asks it where things are');
  process.exit(69);
}
const argued = JSON.parse(readFileSync(join(root, 'test/argued.json'), 'utf8'));
compile();
const found = findings();
const open = found.filter((f) => !argued.some((a) => a.check === f.check && (a.where === undefined || a.where.includes(f.where))));
for (const f of open) console.log(`${f.impact}: ${f.check} in ${f.where}\n${f.description}\n`);
const stale = argued.flatMap((a) =>
  (a.where ?? [undefined]).filter((w) => !found.some((f) => f.check === a.check && (w === undefined || w === f.where))).map((w) => `${a.check} in ${w ?? 'anything'}`),
);
for (const s of stale) console.log(`argued, and not found any more: ${s}`);
const lint = spawnSync('npx', ['--no-install', 'solhint', '--max-warnings', '0', '--disc', 'src/**/*.sol'], { cwd: root, stdio: 'inherit' });
console.log(`slither: ${found.length} findings, ${open.length} that nobody argued about; solhint: ${lint.status === 0 ? 'content' : 'not content'}`);
process.exitCode = open.length + stale.length === 0 && lint.status === 0 ? 0 : 1;
