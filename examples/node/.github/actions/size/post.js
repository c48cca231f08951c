console.log(`The folder held ${process.env.STATE_bytes} bytes`);
