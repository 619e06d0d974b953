import { direct } from './peers/direct.ts';
import { describeExternalPeer, useExternalPeer, type ExternalPeer } from './peers/external.ts';
import { normalVariant, type Peer, type PeerKind, type Variant } from './peers/peer.ts';
import type { Rig } from './rig/rig.ts';

export interface BenchSettings {
  readonly quick: boolean;
  readonly rounds: number;
  readonly external: readonly ExternalPeer[];
}

/** What scenarios work with: the rig, and the gateways that run on it. */
export class Bench {
  readonly rig: Rig;
  readonly quick: boolean;
  readonly rounds: number;
  /** Kinds that can be started here. */
  readonly kinds: readonly PeerKind[];
  readonly #external: readonly ExternalPeer[];
  readonly #peers = new Map<string, Peer>([[direct.name, direct]]);
  readonly #starts = new Map<string, () => Promise<Peer>>();
  readonly #ready = new Set<string>();
  #disturbance = 0;
  #repeatSeconds = 0;

  constructor(rig: Rig, kinds: readonly PeerKind[], settings: BenchSettings) {
    this.rig = rig;
    this.quick = settings.quick;
    this.rounds = settings.rounds;
    this.kinds = kinds.filter((kind) => kind.missing() === null);
    this.#external = settings.external;
  }

  /** Names of the peers of every ordinary comparison, the run without a gateway first. */
  get peerNames(): readonly string[] {
    return [direct.name, ...this.#external.map(({ name }) => name), ...this.kinds.map(({ name }) => name)];
  }

  /** Names without the run without a gateway. */
  get gatewayNames(): readonly string[] {
    return this.peerNames.slice(1);
  }

  /** How each of the gateways is set up, by its name. */
  describeSetUps(): Record<string, string> {
    return Object.fromEntries([...this.kinds.map(({ name, setUp }) => [name, setUp]), ...this.describeExternal()]);
  }

  /** The same of those that the bench does not start. */
  describeExternal(): [name: string, setUp: string][] {
    return this.#external.map((peer) => [peer.name, describeExternalPeer(peer, this.rig.cores.gateway)]);
  }

  /** Starts the peers of every ordinary comparison that are not running. @throws Error that names the one that cannot. */
  async startPeers(): Promise<void> {
    for (const peer of this.#external) {
      if (!this.#peers.has(peer.name)) {
        this.#peers.set(peer.name, await useExternalPeer(peer, this.rig.cores.gateway));
      }
    }
    for (const kind of this.kinds) {
      if (this.#peers.has(kind.name)) continue;
      // An ordinary nginx writes no access log here: it stands for the limit.
      await this.startVariant(kind.name, kind, { ...normalVariant, accessLog: kind.writesAccessLog });
    }
  }

  /** Prepares and starts a gateway in a set-up of its own. */
  async startVariant(name: string, kind: PeerKind, variant: Variant): Promise<void> {
    const start = await kind.prepare(this.rig, variant);
    this.#starts.set(name, start);
    this.#peers.set(name, await start());
  }

  /** Stops a peer and starts it anew from the configuration that it has. */
  async restart(name: string): Promise<void> {
    const start = this.#starts.get(name);
    if (start === undefined) throw new Error(`${name} was not started by the bench`);
    await this.peer(name).stop();
    this.#peers.set(name, await start());
  }

  async stopPeers(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await this.#peers.get(name)?.stop();
      this.#peers.delete(name);
      this.#starts.delete(name);
      for (const key of this.#ready) if (key.startsWith(`${name} `)) this.#ready.delete(key);
    }
  }

  /** Names of all that runs, the run without a gateway left out. */
  get runningNames(): readonly string[] {
    return [...this.#peers.keys()].slice(1);
  }

  /** @throws Error if no such peer runs. */
  peer(name: string): Peer {
    const peer = this.#peers.get(name);
    if (peer === undefined) throw new Error(`${name} is not running`);
    return peer;
  }

  /** True the first time that it is called for this peer and purpose since the peer started. */
  isFirst(name: string, purpose: string): boolean {
    const key = `${name} ${purpose}`;
    if (this.#ready.has(key)) return false;
    this.#ready.add(key);
    return true;
  }

  /** Time for what has to be measured again because it was disturbed. None by default. */
  allowRepeats(seconds: number): void {
    this.#repeatSeconds = seconds;
  }

  /** @returns False when there is too little of it left. */
  takeTimeToRepeat(seconds: number): boolean {
    if (seconds > this.#repeatSeconds) return false;
    this.#repeatSeconds -= seconds;
    return true;
  }

  /** Says what strangers took during a measurement, as a share of one core. */
  noteDisturbance(share: number): void {
    this.#disturbance = Math.max(this.#disturbance, share);
  }

  /** The largest share since the last call. */
  takeDisturbance(): number {
    const share = this.#disturbance;
    this.#disturbance = 0;
    return share;
  }
}
