// Loaded before the proxy: hands it the token that lies in the file named by SPE_PROXY_TOKEN_FILE, in the memory of this
// process. Neither a pod's description, nor an argument, nor the environment that the system shows of it holds the token.
import { readFileSync } from "node:fs";

process.env.CONFIGPROXY_AUTH_TOKEN = readFileSync(process.env.SPE_PROXY_TOKEN_FILE, "utf8").trim();
