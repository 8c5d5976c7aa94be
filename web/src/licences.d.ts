declare module "*/licences.txt" {
  const text: string;
  export default text;
}
