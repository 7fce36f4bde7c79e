/** APIs about access control lists. */
import { api, int16, int32, int8, string, structs } from "../schema.ts";

/** Null, or the code for "any", matches everything. */
const filter = {
  resourceTypeFilter: int8,
  resourceNameFilter: string.nullable(),
  patternTypeFilter: int8,
  principalFilter: string.nullable(),
  hostFilter: string.nullable(),
  operation: int8,
  permissionType: int8,
};

export const describeAclsApi = api({
  key: 29,
  name: "DescribeAcls",
  versions: [1, 3],
  flexibleFrom: 2,
  request: filter,
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: string.nullable(),
    resources: structs({
      resourceType: int8,
      resourceName: string,
      patternType: int8,
      acls: structs({ principal: string, host: string, operation: int8, permissionType: int8 }),
    }),
  },
});

export const createAclsApi = api({
  key: 30,
  name: "CreateAcls",
  versions: [1, 3],
  flexibleFrom: 2,
  request: {
    creations: structs({
      resourceType: int8,
      resourceName: string,
      resourcePatternType: int8,
      principal: string,
      host: string,
      operation: int8,
      permissionType: int8,
    }),
  },
  response: {
    throttleTimeMs: int32.or(0),
    results: structs({ errorCode: int16, errorMessage: string.nullable() }),
  },
});

export const deleteAclsApi = api({
  key: 31,
  name: "DeleteAcls",
  versions: [1, 3],
  flexibleFrom: 2,
  request: { filters: structs(filter) },
  response: {
    throttleTimeMs: int32.or(0),
    filterResults: structs({
      errorCode: int16,
      errorMessage: string.nullable(),
      matchingAcls: structs({
        errorCode: int16,
        errorMessage: string.nullable(),
        resourceType: int8,
        resourceName: string,
        patternType: int8,
        principal: string,
        host: string,
        operation: int8,
        permissionType: int8,
      }),
    }),
  },
});
