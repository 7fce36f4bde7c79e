/** Who a connection speaks for. Kafka writes it "User:NAME". */
export type Principal = { readonly name: string };

/** Where nobody has to authenticate, and before somebody did; Kafka's own word for it. */
export const anonymous: Principal = { name: "ANONYMOUS" };
