/** Kafka's codes of the resources that have a configuration (ConfigResource.java). */
export const resourceTypes = { topic: 2, broker: 4 } as const;
