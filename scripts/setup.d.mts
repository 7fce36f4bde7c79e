export declare const NODE_MAJOR_MIN: number;
/** Whether npm's own record of what it installed has everything that the lock file asks for. */
export declare function isInstalled(directory: string): boolean;
/** The major version of a Node, 0 if it does not run. */
export declare function nodeMajor(file: string): number;
