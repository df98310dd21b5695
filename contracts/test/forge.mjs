// Runs the forge that npm brought: `node test/forge.mjs test`. RUNS and DEPTH say how many walks a campaign has and of how
// many steps, SEED from which number.
import { existsSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const arch = process.arch === 'x64' ? 'amd64' : process.arch;
/** Where forge is, if it is. */
export const binary = `${root}node_modules/@foundry-rs/forge-${process.platform}-${arch}/bin/forge`;

/** Whether there is a forge for this machine. */
export const installed = existsSync(binary);

/** Runs forge, with what it says on our own output or returned. */
export function forge(args, options = {}) {
  const { RUNS, DEPTH, SEED } = process.env;
  const env = { ...process.env };
  if (RUNS) env.FOUNDRY_INVARIANT_RUNS = env.FOUNDRY_FUZZ_RUNS = RUNS;
  if (DEPTH) env.FOUNDRY_INVARIANT_DEPTH = DEPTH;
  if (SEED) args = [...args, '--fuzz-seed', SEED];
  return spawnSync(binary, args, { cwd: root, encoding: 'utf8', env, ...options });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (!installed) {
    console.error(`no forge is installed for ${process.platform} on ${process.arch}: it comes with \`npm ci\` on x86-64 Linux`);
    process.exit(69);
  }
  process.exitCode = forge(process.argv.slice(2), { stdio: 'inherit' }).status ?? 1;
}
