import { startForwarding } from './forward-stage.ts';

// A data plane in a process of its own, so that its memory can be measured: argv[2] is the port of its upstream.
const stage = await startForwarding({ nodes: { [`127.0.0.1:${process.argv[2]}`]: 1 } });
process.on('message', () => process.send?.(process.resourceUsage().maxRSS));
process.on('disconnect', () => process.exit());
process.send?.(stage.port);
