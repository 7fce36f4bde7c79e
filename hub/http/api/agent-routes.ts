/** Agents: how they are, and what they have lost. */
import { StreamError } from "../../../shared/errors.ts";
import { checkCluster } from "../../access/authorize.ts";
import { agentDetail, agentList, agentParams, answer, lossList } from "./schemas.ts";
import { askingOf } from "./services.ts";
import type { ApiApp, ApiServices } from "./services.ts";

const tags = ["agents"];
/** Entries of the loss ledger that one answer holds, the newest. */
const LOSSES_MAX = 1000;

export function agentRoutes(app: ApiApp, services: ApiServices): void {
  const { status } = services;
  const list = { tags, operationId: "listAgents", summary: "The agents that the hub has heard of since its start" };
  app.get(
    "/agents",
    { schema: { ...list, response: { 200: answer("In the order of their connections", agentList) } } },
    async (request) => {
      checkCluster(askingOf(services, request), "describe");
      return { agents: (await status.collect()).agents };
    },
  );

  const show = { tags, operationId: "describeAgent", summary: "One agent and its loss ledger", params: agentParams };
  app.get(
    "/agents/:agent",
    { schema: { ...show, response: { 200: answer("As it is now", agentDetail) } } },
    async (request) => {
      checkCluster(askingOf(services, request), "describe");
      const wanted = request.params.agent;
      const { agents } = await status.collect();
      // Two gateways may have one name; their producer ids differ.
      const agent = agents.find(({ producer }) => producer === wanted) ?? agents.find((each) => each.agent === wanted);
      if (agent === undefined) throw new StreamError("NOT_FOUND", `the hub has not heard of an agent ${wanted}`);
      const losses = (await status.losses(LOSSES_MAX)).filter(({ producer }) => producer === agent.producer);
      return { agent, losses };
    },
  );

  const lost = { tags, operationId: "listLosses", summary: "The newest entries of the loss ledger, of all agents" };
  app.get("/losses", { schema: { ...lost, response: { 200: answer("The newest", lossList) } } }, async (request) => {
    checkCluster(askingOf(services, request), "describe");
    return { losses: await status.losses(LOSSES_MAX) };
  });
}
